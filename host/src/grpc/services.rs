//! A few lines for each call: who asks, what is asked, the use case, the answer.

use serde_json::Value;
use tonic::{Request, Response, Status};

use super::convert::{field, take};
use super::pb::{
    self, CreateProductRequest, CreateProductResponse, CreateSessionRequest, CreateSessionResponse, CreateUserRequest,
    CreateUserResponse, DeleteProductRequest, DeleteProductResponse, DeleteSessionRequest, DeleteSessionResponse,
    DeleteUserRequest, DeleteUserResponse, GetProductRequest, GetProductResponse, GetUserRequest, GetUserResponse,
    ListProductsRequest, ListProductsResponse, ListSessionsRequest, ListSessionsResponse, ListUsersRequest,
    ListUsersResponse, RenewSessionRequest, RenewSessionResponse, UpdateProductRequest, UpdateProductResponse,
    UpdateUserRequest, UpdateUserResponse,
};
use super::{Api, filters, status};

pub(super) type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::user_service_server::UserService for Api {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Answer<CreateUserResponse> {
        self.count(&request, None)?;
        let new = request.into_inner().try_into()?;
        let user = self.0.sign_up(new).await.map_err(status)?;
        Ok(Response::new(CreateUserResponse { user: Some(user.into()) }))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Answer<GetUserResponse> {
        let who = self.caller(&request)?;
        let user = self.0.user(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(GetUserResponse { user: Some(user.into()) }))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Answer<ListUsersResponse> {
        let who = self.caller(&request)?;
        let ListUsersRequest { page_size, page_token } = request.into_inner();
        let found = self.0.users(who, &filters::page(page_size, page_token)?).await.map_err(status)?;
        Ok(Response::new(ListUsersResponse {
            users: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Answer<UpdateUserResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let UpdateUserRequest { user, update_mask, password, current_password, etag, request_id: _ } = request;
        let user = user.ok_or_else(|| field("user", "must be given"))?;
        let (id, is_bare) = (user.id, update_mask.is_none() && password.is_some());
        let mut patch = if is_bare { serde_json::Map::new() } else { filters::user_patch(user, update_mask)? };
        let secrets = [("password", password), ("current_password", current_password)];
        patch.extend(secrets.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::String(text?)))));
        let expected = filters::etag(&etag)?;
        let user = self.0.update_user(who, id, &patch, expected, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(UpdateUserResponse { user: Some(user.into()) }))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Answer<DeleteUserResponse> {
        let who = self.caller(&request)?;
        let DeleteUserRequest { id, etag } = request.into_inner();
        self.0.delete_user(who, id, filters::etag(&etag)?).await.map_err(status)?;
        Ok(Response::new(DeleteUserResponse {}))
    }

    async fn request_email_verification(
        &self,
        request: Request<pb::RequestEmailVerificationRequest>,
    ) -> Answer<pb::RequestEmailVerificationResponse> {
        let who = self.caller(&request)?;
        self.0.request_verification(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::RequestEmailVerificationResponse {}))
    }

    async fn verify_email(&self, request: Request<pb::VerifyEmailRequest>) -> Answer<pb::VerifyEmailResponse> {
        self.count(&request, None)?;
        self.0.verify_email(&request.into_inner().token).await.map_err(status)?;
        Ok(Response::new(pb::VerifyEmailResponse {}))
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Answer<pb::RequestPasswordResetResponse> {
        self.count(&request, None)?;
        let from = self.client(&request);
        let email = take("email", request.into_inner().email)?;
        self.0.request_password_reset(&email, from).await.map_err(status)?;
        Ok(Response::new(pb::RequestPasswordResetResponse {}))
    }

    async fn reset_password(&self, request: Request<pb::ResetPasswordRequest>) -> Answer<pb::ResetPasswordResponse> {
        self.count(&request, None)?;
        let pb::ResetPasswordRequest { token, password } = request.into_inner();
        self.0.reset_password(&token, &take("password", password)?).await.map_err(status)?;
        Ok(Response::new(pb::ResetPasswordResponse {}))
    }
}

#[tonic::async_trait]
impl pb::session_service_server::SessionService for Api {
    async fn create_session(&self, request: Request<CreateSessionRequest>) -> Answer<CreateSessionResponse> {
        self.count(&request, None)?;
        let from = self.client(&request);
        let credentials = request.into_inner().try_into()?;
        let session = self.0.log_in(credentials, from).await.map_err(status)?;
        Ok(Response::new(CreateSessionResponse { session: Some(session.into()) }))
    }

    async fn renew_session(&self, request: Request<RenewSessionRequest>) -> Answer<RenewSessionResponse> {
        self.count(&request, None)?;
        let token = request.into_inner().try_into()?;
        let session = self.0.renew_session(&token).await.map_err(status)?;
        Ok(Response::new(RenewSessionResponse { session: Some(session.into()) }))
    }

    async fn list_sessions(&self, request: Request<ListSessionsRequest>) -> Answer<ListSessionsResponse> {
        let who = self.caller(&request)?;
        let sessions = self.0.sessions(who).await.map_err(status)?;
        Ok(Response::new(ListSessionsResponse { sessions: sessions.into_iter().map(Into::into).collect() }))
    }

    async fn delete_session(&self, request: Request<DeleteSessionRequest>) -> Answer<DeleteSessionResponse> {
        let who = self.caller(&request)?;
        self.0.end_session(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(DeleteSessionResponse {}))
    }
}

#[tonic::async_trait]
impl pb::product_service_server::ProductService for Api {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Answer<CreateProductResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let product = self.0.create_product(who, request.try_into()?, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(CreateProductResponse { product: Some(product.into()) }))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Answer<GetProductResponse> {
        let who = self.maybe_caller(&request)?;
        let product = self.0.product(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(GetProductResponse { product: Some(product.into()) }))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Answer<ListProductsResponse> {
        let who = self.maybe_caller(&request)?;
        let (filter, page) = filters::products(request.into_inner())?;
        let found = self.0.products(who, &filter, &page).await.map_err(status)?;
        Ok(Response::new(ListProductsResponse {
            products: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn update_product(&self, request: Request<UpdateProductRequest>) -> Answer<UpdateProductResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let UpdateProductRequest { product, update_mask, etag, request_id: _ } = request;
        let product = product.ok_or_else(|| field("product", "must be given"))?;
        let (id, expected) = (product.id, filters::etag(&etag)?);
        let patch = filters::product_patch(product, update_mask)?;
        let product = self.0.update_product(who, id, &patch, expected, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(UpdateProductResponse { product: Some(product.into()) }))
    }

    async fn delete_product(&self, request: Request<DeleteProductRequest>) -> Answer<DeleteProductResponse> {
        let who = self.caller(&request)?;
        let DeleteProductRequest { id, etag } = request.into_inner();
        self.0.archive_product(who, id, filters::etag(&etag)?).await.map_err(status)?;
        Ok(Response::new(DeleteProductResponse {}))
    }

    async fn create_stock_alert(
        &self,
        request: Request<pb::CreateStockAlertRequest>,
    ) -> Answer<pb::CreateStockAlertResponse> {
        let who = self.caller(&request)?;
        self.0.alert_of_stock(who, request.into_inner().product_id).await.map_err(status)?;
        Ok(Response::new(pb::CreateStockAlertResponse {}))
    }

    async fn delete_stock_alert(
        &self,
        request: Request<pb::DeleteStockAlertRequest>,
    ) -> Answer<pb::DeleteStockAlertResponse> {
        let who = self.caller(&request)?;
        self.0.forget_alert(who, request.into_inner().product_id).await.map_err(status)?;
        Ok(Response::new(pb::DeleteStockAlertResponse {}))
    }
}
