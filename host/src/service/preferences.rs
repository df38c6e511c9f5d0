//! Which mails a customer gets, chosen by links in mails: without a log-in, for good until they choose otherwise.

use super::accounts::over;
use super::once::tried_after;
use super::{Error, Service};
use crate::link::{Claim, Purpose};
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
    pub(super) fn mail_links(&self, user_id: i64, scope: Scope) -> (Option<WebAddress>, Option<WebAddress>) {
        let stamp = CHOICES.iter().position(|choice| *choice == scope).and_then(|place| i64::try_from(place).ok());
        let Some(stamp) = stamp else { return (None, None) };
        let token = self.links.sign(&Claim { purpose: Purpose::Unsubscribe, user_id, stamp, expires_at: None });
        (self.accounts.page(&format!("/u/{token}")), self.accounts.page(&format!("/p/{token}")))
    }

    /// Whose mails a link is about, which category, and which mails they get.
    pub async fn mail_choices(&self, token: &str) -> Result<(User, Scope, Vec<(Scope, bool)>), Error> {
        let (user_id, scope) = self.choice(token)?;
        let user = self.store.user(user_id).await?.ok_or_else(over)?;
        let keys = self.address_keys.of(&user.email);
        let entries = self.store.suppressed(&[keys], self.clock.now_ms()).await?.pop().unwrap_or_default();
        let is_refused = |choice: Scope| {
            entries.iter().any(|entry| {
                entry.cause == Cause::Unsubscribed && (entry.category == choice || entry.category == Scope::All)
            })
        };
        Ok((user, scope, CHOICES.map(|choice| (choice, !is_refused(choice))).to_vec()))
    }

    /// Sends a customer no more mails of the category that a link of theirs is about. Again, it says so again.
    pub async fn unsubscribe(&self, token: &str) -> Result<(), Error> {
        let (user_id, scope) = self.choice(token)?;
        self.choose(user_id, &[(scope, false)]).await
    }

    /// Sends a customer of the mails that are theirs to choose those that are wanted.
    pub async fn choose_mails(&self, token: &str, wanted: &[Scope]) -> Result<(), Error> {
        let (user_id, _) = self.choice(token)?;
        let choices = CHOICES.map(|choice| (choice, wanted.contains(&choice)));
        self.choose(user_id, &choices).await
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

    fn choice(&self, token: &str) -> Result<(i64, Scope), Error> {
        let claim = self.claim(token, Purpose::Unsubscribe)?;
        let scope = usize::try_from(claim.stamp).ok().and_then(|place| CHOICES.get(place)).ok_or_else(over)?;
        Ok((claim.user_id, *scope))
    }
}
