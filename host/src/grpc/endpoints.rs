//! The calls on endpoints of webhooks.

use serde_json::{Map, Value};
use tonic::{Request, Response, Status};

use super::convert::{at, field, take};
use super::services::Answer;
use super::{Api, filters, pb, status};
use crate::endpoint::{Endpoint, Kinds, NewEndpoint, Orders, SecretInfo};
use crate::service::Revealed;

impl From<Endpoint> for pb::WebhookEndpoint {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint { id, user_id, url, description, kinds, state, reason, version, failing_since, .. } = endpoint;
        let Endpoint { failure, delivered_at, secrets, created_at, updated_at, .. } = endpoint;
        let info =
            |SecretInfo { version, expires_at }| pb::WebhookSecretInfo { version, expires_at: expires_at.map(at) };
        Self {
            id,
            user_id,
            url: url.into(),
            description: description.into(),
            kinds: kinds.into(),
            state: state.as_str().to_owned(),
            reason,
            failing_since: failing_since.map(at),
            failure,
            delivered_at: delivered_at.map(at),
            secrets: secrets.into_iter().map(info).collect(),
            created_at: Some(at(created_at)),
            updated_at: Some(at(updated_at)),
            etag: version.to_string(),
        }
    }
}

fn new(new: pb::CreateWebhookEndpointRequest) -> Result<NewEndpoint, Status> {
    let pb::CreateWebhookEndpointRequest { url, description, kinds, orders } = new;
    Ok(NewEndpoint {
        url: take("url", url)?,
        description: take("description", description)?,
        kinds: Kinds::try_from(kinds).map_err(|why| field("kinds", &why))?,
        orders: if orders.is_empty() { Orders::Own } else { take("orders", orders)? },
    })
}

#[tonic::async_trait]
impl pb::webhook_service_server::WebhookService for Api {
    async fn list_webhook_endpoints(
        &self,
        request: Request<pb::ListWebhookEndpointsRequest>,
    ) -> Answer<pb::ListWebhookEndpointsResponse> {
        let who = self.caller(&request)?;
        let pb::ListWebhookEndpointsRequest { page_size, page_token } = request.into_inner();
        let page = self.0.endpoints(who, &filters::page(page_size, page_token)?).await.map_err(status)?;
        let webhook_endpoints = page.items.into_iter().map(Into::into).collect();
        let next_page_token = page.next.unwrap_or_default();
        Ok(Response::new(pb::ListWebhookEndpointsResponse { webhook_endpoints, next_page_token }))
    }

    async fn get_webhook_endpoint(
        &self,
        request: Request<pb::GetWebhookEndpointRequest>,
    ) -> Answer<pb::GetWebhookEndpointResponse> {
        let who = self.caller(&request)?;
        let endpoint = self.0.endpoint(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::GetWebhookEndpointResponse { webhook_endpoint: Some(endpoint.into()) }))
    }

    async fn create_webhook_endpoint(
        &self,
        request: Request<pb::CreateWebhookEndpointRequest>,
    ) -> Answer<pb::CreateWebhookEndpointResponse> {
        let who = self.caller(&request)?;
        let made = self.0.create_endpoint(who, &new(request.into_inner())?).await.map_err(status)?;
        let Revealed { endpoint, secret } = made;
        let answer =
            pb::CreateWebhookEndpointResponse { webhook_endpoint: Some(endpoint.into()), secret: secret.text() };
        Ok(Response::new(answer))
    }

    async fn update_webhook_endpoint(
        &self,
        request: Request<pb::UpdateWebhookEndpointRequest>,
    ) -> Answer<pb::UpdateWebhookEndpointResponse> {
        let who = self.caller(&request)?;
        let pb::UpdateWebhookEndpointRequest { id, url, description, kinds, state, etag } = request.into_inner();
        let texts = [("url", url), ("description", description), ("state", state)];
        let mut patch: Map<String, Value> =
            texts.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::String(text?)))).collect();
        patch.extend(kinds.map(|kinds| ("kinds".to_owned(), kinds.kinds.into())));
        let expected = filters::etag(&etag)?;
        let endpoint = self.0.change_endpoint(who, id, &patch, expected).await.map_err(status)?;
        Ok(Response::new(pb::UpdateWebhookEndpointResponse { webhook_endpoint: Some(endpoint.into()) }))
    }

    async fn delete_webhook_endpoint(
        &self,
        request: Request<pb::DeleteWebhookEndpointRequest>,
    ) -> Answer<pb::DeleteWebhookEndpointResponse> {
        let who = self.caller(&request)?;
        let pb::DeleteWebhookEndpointRequest { id, etag } = request.into_inner();
        self.0.delete_endpoint(who, id, filters::etag(&etag)?).await.map_err(status)?;
        Ok(Response::new(pb::DeleteWebhookEndpointResponse {}))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<pb::RotateWebhookSecretRequest>,
    ) -> Answer<pb::RotateWebhookSecretResponse> {
        let who = self.caller(&request)?;
        let made = self.0.rotate_endpoint_secret(who, request.into_inner().id).await.map_err(status)?;
        let Revealed { endpoint, secret } = made;
        let answer = pb::RotateWebhookSecretResponse { webhook_endpoint: Some(endpoint.into()), secret: secret.text() };
        Ok(Response::new(answer))
    }

    async fn test_webhook_endpoint(
        &self,
        request: Request<pb::TestWebhookEndpointRequest>,
    ) -> Answer<pb::TestWebhookEndpointResponse> {
        let who = self.caller(&request)?;
        let notification_id = self.0.test_endpoint(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::TestWebhookEndpointResponse { notification_id }))
    }
}
