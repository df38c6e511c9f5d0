//! The calls of orders.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::services::Answer;
use super::{Api, filters, pb, status};

/// Makes the change of an order that a request asks for; all of them have an id, an etag and a request id.
macro_rules! change {
    ($api:ident, $request:ident) => {{
        let who = $api.caller(&$request)?;
        let request = $request.into_inner();
        let once = filters::once(&$api.0, &request.request_id, &request)?;
        let (id, expected) = (request.id, filters::etag(&request.etag)?);
        let change = request.try_into()?;
        $api.0.change_order(who, id, change, expected, once.as_ref()).await.map_err(status)?
    }};
}

#[tonic::async_trait]
impl pb::order_service_server::OrderService for Api {
    async fn create_order(&self, request: Request<pb::CreateOrderRequest>) -> Answer<pb::CreateOrderResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let order = self.0.place_order(who, request.try_into()?, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(pb::CreateOrderResponse { order: Some(order.into()) }))
    }

    async fn get_order(&self, request: Request<pb::GetOrderRequest>) -> Answer<pb::GetOrderResponse> {
        let who = self.caller(&request)?;
        let order = self.0.order(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::GetOrderResponse { order: Some(order.into()) }))
    }

    async fn list_orders(&self, request: Request<pb::ListOrdersRequest>) -> Answer<pb::ListOrdersResponse> {
        let who = self.caller(&request)?;
        let (filter, page) = filters::orders(request.into_inner())?;
        let found = self.0.orders(who, &filter, &page).await.map_err(status)?;
        Ok(Response::new(pb::ListOrdersResponse {
            orders: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn change_order_status(
        &self,
        request: Request<pb::ChangeOrderStatusRequest>,
    ) -> Answer<pb::ChangeOrderStatusResponse> {
        let order = change!(self, request);
        Ok(Response::new(pb::ChangeOrderStatusResponse { order: Some(order.into()) }))
    }

    async fn record_order_refund(
        &self,
        request: Request<pb::RecordOrderRefundRequest>,
    ) -> Answer<pb::RecordOrderRefundResponse> {
        let order = change!(self, request);
        Ok(Response::new(pb::RecordOrderRefundResponse { order: Some(order.into()) }))
    }

    async fn record_order_payment(
        &self,
        request: Request<pb::RecordOrderPaymentRequest>,
    ) -> Answer<pb::RecordOrderPaymentResponse> {
        let order = change!(self, request);
        Ok(Response::new(pb::RecordOrderPaymentResponse { order: Some(order.into()) }))
    }

    async fn record_order_invoice(
        &self,
        request: Request<pb::RecordOrderInvoiceRequest>,
    ) -> Answer<pb::RecordOrderInvoiceResponse> {
        let order = change!(self, request);
        Ok(Response::new(pb::RecordOrderInvoiceResponse { order: Some(order.into()) }))
    }

    async fn add_order_note(&self, request: Request<pb::AddOrderNoteRequest>) -> Answer<pb::AddOrderNoteResponse> {
        let order = change!(self, request);
        Ok(Response::new(pb::AddOrderNoteResponse { order: Some(order.into()) }))
    }

    async fn cancel_order(&self, request: Request<pb::CancelOrderRequest>) -> Answer<pb::CancelOrderResponse> {
        let who = self.caller(&request)?;
        let pb::CancelOrderRequest { id, etag } = request.into_inner();
        let order = self.0.cancel_order(who, id, filters::etag(&etag)?).await.map_err(status)?;
        Ok(Response::new(pb::CancelOrderResponse { order: Some(order.into()) }))
    }

    type WatchOrderStream = Pin<Box<dyn Stream<Item = Result<pb::WatchOrderResponse, Status>> + Send>>;

    async fn watch_order(&self, request: Request<pb::WatchOrderRequest>) -> Answer<Self::WatchOrderStream> {
        let who = self.caller(&request)?;
        let id = request.into_inner().id;
        // Refused as a whole, not in the stream.
        self.0.order(who, id).await.map_err(status)?;
        let orders = self.0.clone().watch_order(who, id);
        let answers = orders.map(|order| {
            let order = order.map_err(status)?;
            Ok(pb::WatchOrderResponse { order: Some(order.into()) })
        });
        Ok(Response::new(Box::pin(answers.take_until(self.1.clone().cancelled_owned()))))
    }
}
