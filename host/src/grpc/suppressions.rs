//! The calls on suppressed addresses.

use tonic::{Request, Response, Status};

use super::convert::{at, field, take};
use super::{Api, filters, pb, status};
use crate::suppression::{Cause, NewSuppression, Scope, Suppression, SuppressionFilter};

impl From<Suppression> for pb::Suppression {
    fn from(entry: Suppression) -> Self {
        let Suppression { id, address, category, cause, source, note, created_at, expires_at } = entry;
        Self {
            id,
            address,
            category: category.as_str().to_owned(),
            cause: cause.as_str().to_owned(),
            source,
            note,
            created_at: Some(at(created_at)),
            expires_at: expires_at.map(at),
        }
    }
}

fn new(new: pb::NewSuppression) -> Result<NewSuppression, Status> {
    let pb::NewSuppression { address, category, cause, note, expires_at } = new;
    Ok(NewSuppression {
        address: take("address", address)?,
        category: if category.is_empty() { Scope::All } else { take("category", category)? },
        cause: if cause.is_empty() { Cause::Manual } else { take("cause", cause)? },
        note: take("note", note)?,
        expires_at: filters::unix_ms("expires_at", expires_at)?,
    })
}

fn filter(
    address: Option<String>,
    cause: Option<String>,
    category: Option<String>,
) -> Result<SuppressionFilter, Status> {
    Ok(SuppressionFilter {
        address: address.map(|a| take("address", a)).transpose()?,
        cause: cause.map(|c| take("cause", c)).transpose()?,
        category: category.map(|c| take("category", c)).transpose()?,
    })
}

#[tonic::async_trait]
impl pb::suppression_service_server::SuppressionService for Api {
    async fn list_suppressions(
        &self,
        request: Request<pb::ListSuppressionsRequest>,
    ) -> Result<Response<pb::ListSuppressionsResponse>, Status> {
        let who = self.caller(&request)?;
        let pb::ListSuppressionsRequest { page_size, page_token, address, cause, category } = request.into_inner();
        let (filter, page) = (filter(address, cause, category)?, filters::page(page_size, page_token)?);
        let page = self.0.suppressions(who, &filter, &page).await.map_err(status)?;
        let suppressions = page.items.into_iter().map(Into::into).collect();
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(pb::ListSuppressionsResponse { suppressions, next_page_token }))
    }

    async fn get_suppression(
        &self,
        request: Request<pb::GetSuppressionRequest>,
    ) -> Result<Response<pb::GetSuppressionResponse>, Status> {
        let who = self.caller(&request)?;
        let entry = self.0.suppression(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::GetSuppressionResponse { suppression: Some(entry.into()) }))
    }

    async fn create_suppression(
        &self,
        request: Request<pb::CreateSuppressionRequest>,
    ) -> Result<Response<pb::CreateSuppressionResponse>, Status> {
        let who = self.caller(&request)?;
        let asked = request.into_inner().suppression.ok_or_else(|| field("suppression", "must be given"))?;
        let entry = self.0.suppress(who, &new(asked)?).await.map_err(status)?;
        Ok(Response::new(pb::CreateSuppressionResponse { suppression: Some(entry.into()) }))
    }

    async fn import_suppressions(
        &self,
        request: Request<pb::ImportSuppressionsRequest>,
    ) -> Result<Response<pb::ImportSuppressionsResponse>, Status> {
        let who = self.caller(&request)?;
        let all = request.into_inner().suppressions.into_iter().map(new).collect::<Result<Vec<_>, _>>()?;
        let imported = self.0.import_suppressions(who, &all).await.map_err(status)?;
        let imported = i64::try_from(imported).unwrap_or(i64::MAX);
        Ok(Response::new(pb::ImportSuppressionsResponse { imported }))
    }

    async fn delete_suppression(
        &self,
        request: Request<pb::DeleteSuppressionRequest>,
    ) -> Result<Response<pb::DeleteSuppressionResponse>, Status> {
        let who = self.caller(&request)?;
        self.0.lift_suppression(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::DeleteSuppressionResponse {}))
    }
}
