//! Calls on endpoints of webhooks.

use pb::webhook_service_client::WebhookServiceClient;

use super::super::pb;
use super::answers::{self, at, each, given, maybe_at};
use super::{Client, Error, Transport};
use crate::endpoint::{Endpoint, Kinds, NewEndpoint, SecretInfo, State};
use crate::service::Page;

impl Client {
    fn webhook_calls(&self) -> WebhookServiceClient<Transport> {
        WebhookServiceClient::new(self.transport.clone())
    }

    /// A page of the endpoints; `cursor` is the `next` of the page before, or empty.
    pub async fn endpoints(&self, limit: u32, cursor: String) -> Result<Page<Endpoint>, Error> {
        let page_size = i32::try_from(limit).unwrap_or(i32::MAX);
        let request = pb::ListWebhookEndpointsRequest { page_size, page_token: cursor };
        let answer = self.webhook_calls().list_webhook_endpoints(request).await?.into_inner();
        answers::page(answer.webhook_endpoints, answer.next_page_token, endpoint)
    }

    /// Makes an endpoint; its secret with it.
    pub async fn create_endpoint(&self, new: &NewEndpoint) -> Result<(Endpoint, String), Error> {
        let NewEndpoint { url, description, kinds, orders } = new.clone();
        let request = pb::CreateWebhookEndpointRequest {
            url: url.into(),
            description: description.into(),
            kinds: kinds.into(),
            orders: orders.as_str().to_owned(),
        };
        let answer = self.webhook_calls().create_webhook_endpoint(request).await?.into_inner();
        Ok((endpoint(given("webhook_endpoint", answer.webhook_endpoint)?)?, answer.secret))
    }

    /// Pauses an endpoint, or makes it active again.
    pub async fn set_endpoint_state(&self, id: i64, state: State) -> Result<Endpoint, Error> {
        let state = Some(state.as_str().to_owned());
        let request = pb::UpdateWebhookEndpointRequest { id, state, ..pb::UpdateWebhookEndpointRequest::default() };
        let answer = self.webhook_calls().update_webhook_endpoint(request).await?.into_inner();
        endpoint(given("webhook_endpoint", answer.webhook_endpoint)?)
    }

    /// Gives an endpoint a new secret, which it answers with.
    pub async fn rotate_endpoint_secret(&self, id: i64) -> Result<(Endpoint, String), Error> {
        let request = pb::RotateWebhookSecretRequest { id };
        let answer = self.webhook_calls().rotate_webhook_secret(request).await?.into_inner();
        Ok((endpoint(given("webhook_endpoint", answer.webhook_endpoint)?)?, answer.secret))
    }

    /// Queues a request that only tries an endpoint; the number of its notification.
    pub async fn test_endpoint(&self, id: i64) -> Result<i64, Error> {
        let request = pb::TestWebhookEndpointRequest { id };
        Ok(self.webhook_calls().test_webhook_endpoint(request).await?.into_inner().notification_id)
    }

    /// Deletes an endpoint.
    pub async fn delete_endpoint(&self, id: i64) -> Result<(), Error> {
        let request = pb::DeleteWebhookEndpointRequest { id, etag: String::new() };
        self.webhook_calls().delete_webhook_endpoint(request).await?;
        Ok(())
    }
}

fn endpoint(endpoint: pb::WebhookEndpoint) -> Result<Endpoint, Error> {
    let pb::WebhookEndpoint { id, user_id, url, description, kinds, state, reason, failing_since, .. } = endpoint;
    let pb::WebhookEndpoint { failure, delivered_at, secrets, created_at, updated_at, etag, .. } = endpoint;
    let info = |info: pb::WebhookSecretInfo| {
        let pb::WebhookSecretInfo { version, expires_at } = info;
        Ok(SecretInfo { version, expires_at: maybe_at("expires_at", expires_at)? })
    };
    Ok(Endpoint {
        id,
        user_id,
        url: url.try_into().map_err(|_| Error::Unreadable("url"))?,
        description: description.try_into().map_err(|_| Error::Unreadable("description"))?,
        kinds: Kinds::kept(kinds),
        state: state.try_into().map_err(|_| Error::Unreadable("state"))?,
        reason,
        version: super::super::filters::etag(&etag).ok().flatten().ok_or(Error::Unreadable("etag"))?,
        failing_since: maybe_at("failing_since", failing_since)?,
        failure,
        delivered_at: maybe_at("delivered_at", delivered_at)?,
        secrets: each(secrets, info)?,
        created_at: at("created_at", created_at)?,
        updated_at: at("updated_at", updated_at)?,
    })
}
