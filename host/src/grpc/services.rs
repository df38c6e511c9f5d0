//! A few lines for each call: who asks, what is asked, the use case, the answer.

use tonic::{Request, Response, Status};

use super::convert::{self, changed, field, parcels};
use super::pb::{
    self, ChangeOrderStatusRequest, ChangeOrderStatusResponse, CreateOrderRequest, CreateOrderResponse,
    CreateProductRequest, CreateProductResponse, CreateSessionRequest, CreateSessionResponse, CreateUserRequest,
    CreateUserResponse, GetOrderRequest, GetOrderResponse, GetProductRequest, GetProductResponse,
    ListNotificationsRequest, ListNotificationsResponse, ListOrdersRequest, ListOrdersResponse, ListPluginsRequest,
    ListPluginsResponse, ListProductsRequest, ListProductsResponse, PluginSlot, ReloadPluginRequest,
    ReloadPluginResponse,
};
use super::{Api, status};
use crate::service::{PageRequest, Slot};
use crate::shop::order::StatusChange;

type Answer<T> = Result<Response<T>, Status>;

fn page(size: i32, token: String) -> Result<PageRequest, Status> {
    let size = u32::try_from(size).map_err(|_| field("page_size", "must not be negative"))?;
    Ok(PageRequest { limit: (size > 0).then_some(size), cursor: (!token.is_empty()).then_some(token) })
}

#[tonic::async_trait]
impl pb::user_service_server::UserService for Api {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Answer<CreateUserResponse> {
        let new = request.into_inner().try_into()?;
        let user = self.0.sign_up(new).await.map_err(status)?;
        Ok(Response::new(CreateUserResponse { user: Some(user.into()) }))
    }
}

#[tonic::async_trait]
impl pb::session_service_server::SessionService for Api {
    async fn create_session(&self, request: Request<CreateSessionRequest>) -> Answer<CreateSessionResponse> {
        let credentials = request.into_inner().try_into()?;
        let session = self.0.log_in(credentials).await.map_err(status)?;
        Ok(Response::new(session.into()))
    }
}

#[tonic::async_trait]
impl pb::product_service_server::ProductService for Api {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Answer<CreateProductResponse> {
        let who = self.caller(&request)?;
        let new = request.into_inner().try_into()?;
        let product = self.0.create_product(who, new).await.map_err(status)?;
        Ok(Response::new(CreateProductResponse { product: Some(product.into()) }))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<GetProductResponse> {
        let product = self.0.product(request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(GetProductResponse { product: Some(product.into()) }))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Answer<ListProductsResponse> {
        let ListProductsRequest { page_size, page_token } = request.into_inner();
        let found = self.0.products(&page(page_size, page_token)?).await.map_err(status)?;
        Ok(Response::new(ListProductsResponse {
            products: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }
}

#[tonic::async_trait]
impl pb::order_service_server::OrderService for Api {
    async fn create_order(&self, request: Request<CreateOrderRequest>) -> Answer<CreateOrderResponse> {
        let who = self.caller(&request)?;
        let new = request.into_inner().try_into()?;
        let order = self.0.place_order(who, new).await.map_err(status)?;
        Ok(Response::new(CreateOrderResponse { order: Some(order.into()) }))
    }

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Answer<GetOrderResponse> {
        let who = self.caller(&request)?;
        let order = self.0.order(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(GetOrderResponse { order: Some(order.into()) }))
    }

    async fn list_orders(&self, request: Request<ListOrdersRequest>) -> Answer<ListOrdersResponse> {
        let who = self.caller(&request)?;
        let ListOrdersRequest { page_size, page_token } = request.into_inner();
        let found = self.0.orders(who, &page(page_size, page_token)?).await.map_err(status)?;
        Ok(Response::new(ListOrdersResponse {
            orders: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn change_order_status(
        &self,
        request: Request<ChangeOrderStatusRequest>,
    ) -> Answer<ChangeOrderStatusResponse> {
        let who = self.caller(&request)?;
        let ChangeOrderStatusRequest { id, status: wanted, tracking } = request.into_inner();
        let change = StatusChange { status: changed(wanted)?, tracking: parcels(tracking)? };
        let order = self.0.change_status(who, id, change).await.map_err(status)?;
        Ok(Response::new(ChangeOrderStatusResponse { order: Some(order.into()) }))
    }
}

#[tonic::async_trait]
impl pb::notification_service_server::NotificationService for Api {
    async fn list_notifications(
        &self,
        request: Request<ListNotificationsRequest>,
    ) -> Answer<ListNotificationsResponse> {
        let who = self.caller(&request)?;
        let found = self.0.notifications(who, request.into_inner().order_id).await.map_err(status)?;
        let notifications = found.into_iter().map(Into::into).collect();
        Ok(Response::new(ListNotificationsResponse { notifications }))
    }
}

#[tonic::async_trait]
impl pb::plugin_service_server::PluginService for Api {
    async fn list_plugins(&self, request: Request<ListPluginsRequest>) -> Answer<ListPluginsResponse> {
        let who = self.caller(&request)?;
        let found = self.0.plugins(who).map_err(status)?;
        let plugins = found.iter().map(|r| convert::plugin(r)).collect();
        Ok(Response::new(ListPluginsResponse { plugins }))
    }

    async fn reload_plugin(&self, request: Request<ReloadPluginRequest>) -> Answer<ReloadPluginResponse> {
        let who = self.caller(&request)?;
        let slot = match request.into_inner().slot() {
            PluginSlot::Renderer => Slot::Renderer,
            PluginSlot::Policy => Slot::Policy,
            PluginSlot::Unspecified => return Err(field("slot", "must be given")),
        };
        let revision = self.0.reload_plugin(who, slot).await.map_err(status)?;
        Ok(Response::new(ReloadPluginResponse { plugin: Some(convert::plugin(&revision)) }))
    }
}
