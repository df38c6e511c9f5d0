//! Which mails a customer gets, chosen by links in mails: without a log-in, for good until they choose otherwise.

use super::accounts::over;
use super::once::tried_after;
use super::{Error, Service};
use crate::link::{Claim, Links, Purpose};
use crate::shop::text::{OptionalLine, WebAddress};
use crate::shop::user::User;
use crate::store::{self, Tx, stock_alerts, suppressions, users};
use crate::suppression::{Cause, NewSuppression, Scope};

/// Mails that customers choose whether to get. What is about an order or an account is not among them.
pub const CHOICES: [Scope; 2] = [Scope::Requested, Scope::Marketing];

/// Who wrote an entry of the list of suppressed addresses.
const BY_LINK: &str = "the customer, by a link";

impl Service {
    /// Where a customer stops mails of a category, and where they choose among all.
    pub(super) fn mail_links(&self, user: &User, scope: Scope) -> (Option<WebAddress>, Option<WebAddress>) {
        let place = CHOICES.iter().position(|choice| *choice == scope).and_then(|place| u8::try_from(place).ok());
        let Some(place) = place else { return (None, None) };
        let (user_id, stamp) = (user.id, Links::choice(&user.email, place));
        let token = self.links.sign(&Claim { purpose: Purpose::Unsubscribe, user_id, stamp, expires_at: None });
        (self.accounts.page(&format!("/u/{token}")), self.accounts.page(&format!("/p/{token}")))
    }

    /// Whose mails a link stops, and which category.
    pub async fn mails_of(&self, token: &str) -> Result<(User, Scope), Error> {
        let (user, scope, _) = self.choice(token).await?;
        Ok((user, scope))
    }

    /// Whose mails a link is about, which category, and which mails they get. Who reads an address that they have left sees
    /// nothing of it.
    pub async fn mail_choices(&self, token: &str) -> Result<(User, Scope, Vec<(Scope, bool)>), Error> {
        let (user, scope, is_theirs) = self.choice(token).await?;
        if !is_theirs {
            return Err(over());
        }
        let keys = self.address_keys.of(&user.email);
        let entries = self.store.suppressed(&[keys], self.clock.now_ms()).await?.pop().unwrap_or_default();
        let is_refused = |choice: Scope| {
            entries.iter().any(|entry| {
                entry.cause == Cause::Unsubscribed && (entry.category == choice || entry.category == Scope::All)
            })
        };
        Ok((user, scope, CHOICES.map(|choice| (choice, !is_refused(choice))).to_vec()))
    }

    /// Sends a customer no more mails of the category that a link of theirs is about, even if it went to an address that they
    /// have left. Again, it says so again.
    pub async fn unsubscribe(&self, token: &str) -> Result<(), Error> {
        let (user, scope, _) = self.choice(token).await?;
        self.choose(user.id, &[(scope, false)]).await
    }

    /// Sends a customer of the mails that are theirs to choose those that are wanted. Who reads an address that they have left
    /// does not choose for them.
    pub async fn choose_mails(&self, token: &str, wanted: &[Scope]) -> Result<(), Error> {
        let (user, _, is_theirs) = self.choice(token).await?;
        if !is_theirs {
            return Err(over());
        }
        let choices = CHOICES.map(|choice| (choice, wanted.contains(&choice)));
        self.choose(user.id, &choices).await
    }

    async fn choose(&self, user_id: i64, choices: &[(Scope, bool)]) -> Result<(), Error> {
        // Who finds an entry taken at this moment renews it the next time.
        let passes = |e: &store::Error| e.is_taken() || e.is_transient();
        tried_after(passes, || self.try_choose(user_id, choices)).await
    }

    async fn try_choose(&self, user_id: i64, choices: &[(Scope, bool)]) -> Result<(), Error> {
        let mut tx = self.store.begin().await?;
        let (user, _) = users::lock(&mut tx, user_id).await?.ok_or_else(over)?;
        for (scope, is_wanted) in choices {
            self.set_choice(&mut tx, &user, *scope, *is_wanted).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn set_choice(&self, tx: &mut Tx, user: &User, scope: Scope, is_wanted: bool) -> store::Result<()> {
        let keys = self.address_keys.of(&user.email);
        if is_wanted {
            return suppressions::lift(tx, &keys, scope, Cause::Unsubscribed).await;
        }
        let new = NewSuppression {
            address: user.email.clone(),
            category: scope,
            cause: Cause::Unsubscribed,
            note: OptionalLine::default(),
            expires_at: None,
        };
        suppressions::suppress(tx, &keys, &new, BY_LINK, self.clock.now_ms()).await?;
        if scope == Scope::Requested {
            stock_alerts::remove_of(tx, user.id).await?;
        }
        Ok(())
    }

    /// Whose mails a link is about, which category, and whether it went to the address that is theirs now.
    async fn choice(&self, token: &str) -> Result<(User, Scope, bool), Error> {
        let claim = self.claim(token, Purpose::Unsubscribe)?;
        let user = self.store.user(claim.user_id).await?.ok_or_else(over)?;
        let (place, is_theirs) = Links::chosen(claim.stamp, &user.email);
        let scope = CHOICES.get(usize::from(place)).ok_or_else(over)?;
        Ok((user, *scope, is_theirs))
    }
}
