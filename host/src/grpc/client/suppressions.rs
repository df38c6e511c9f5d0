//! Calls on suppressed addresses.

use pb::suppression_service_client::SuppressionServiceClient;

use super::super::convert;
use super::super::pb;
use super::answers::{self, at, given, maybe_at};
use super::{Client, Error, Transport};
use crate::service::Page;
use crate::suppression::{NewSuppression, Suppression, SuppressionFilter};

impl Client {
    fn suppression_calls(&self) -> SuppressionServiceClient<Transport> {
        SuppressionServiceClient::new(self.transport.clone())
    }

    /// A page of the entries that match, the newest first; `cursor` is the `next` of the page before, or empty.
    pub async fn suppressions(
        &self,
        filter: &SuppressionFilter,
        limit: u32,
        cursor: String,
    ) -> Result<Page<Suppression>, Error> {
        let SuppressionFilter { address, cause, category } = filter.clone();
        let request = pb::ListSuppressionsRequest {
            page_size: i32::try_from(limit).unwrap_or(i32::MAX),
            page_token: cursor,
            address: address.map(Into::into),
            cause: cause.map(|cause| cause.as_str().to_owned()),
            category: category.map(|category| category.as_str().to_owned()),
        };
        let answer = self.suppression_calls().list_suppressions(request).await?.into_inner();
        answers::page(answer.suppressions, answer.next_page_token, entry)
    }

    /// Sends an address no more mails.
    pub async fn suppress(&self, add: &NewSuppression) -> Result<Suppression, Error> {
        let request = pb::CreateSuppressionRequest { suppression: Some(new(add)) };
        let answer = self.suppression_calls().create_suppression(request).await?.into_inner();
        entry(given("suppression", answer.suppression)?)
    }

    /// Takes in entries from elsewhere; says how many.
    pub async fn import_suppressions(&self, all: &[NewSuppression]) -> Result<i64, Error> {
        let request = pb::ImportSuppressionsRequest { suppressions: all.iter().map(new).collect() };
        Ok(self.suppression_calls().import_suppressions(request).await?.into_inner().imported)
    }

    /// Lets mails go to an address again.
    pub async fn lift_suppression(&self, id: i64) -> Result<(), Error> {
        self.suppression_calls().delete_suppression(pb::DeleteSuppressionRequest { id }).await?;
        Ok(())
    }
}

fn new(new: &NewSuppression) -> pb::NewSuppression {
    let NewSuppression { address, category, cause, note, expires_at } = new;
    pb::NewSuppression {
        address: address.as_str().to_owned(),
        category: category.as_str().to_owned(),
        cause: cause.as_str().to_owned(),
        note: note.as_str().to_owned(),
        expires_at: expires_at.map(convert::at),
    }
}

fn entry(entry: pb::Suppression) -> Result<Suppression, Error> {
    let pb::Suppression { id, address, category, cause, source, note, created_at, expires_at } = entry;
    Ok(Suppression {
        id,
        address,
        category: category.try_into().map_err(|_| Error::Unreadable("category"))?,
        cause: cause.try_into().map_err(|_| Error::Unreadable("cause"))?,
        source,
        note,
        created_at: at("created_at", created_at)?,
        expires_at: maybe_at("expires_at", expires_at)?,
    })
}
