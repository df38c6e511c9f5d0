//! The calls on notifications and their queue: who asks, what is asked, the use case, the answer.

use tonic::{Request, Response, Status};

use super::{Api, filters, pb, status};
use crate::service::{QueuePart, Retry};

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::notification_service_server::NotificationService for Api {
    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Answer<pb::ListNotificationsResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let (items, next) = if let Some(order_id) = filters::is_of_order(&request) {
            (self.0.notifications_of(who, order_id).await.map_err(status)?, None)
        } else {
            let (filter, page) = filters::notifications(request)?;
            let found = self.0.notifications(who, &filter, &page).await.map_err(status)?;
            (found.items, found.next)
        };
        let notifications = items.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListNotificationsResponse { notifications, next_page_token: next.unwrap_or_default() }))
    }

    async fn get_notification(
        &self,
        request: Request<pb::GetNotificationRequest>,
    ) -> Answer<pb::GetNotificationResponse> {
        let who = self.caller(&request)?;
        let found = self.0.notification(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::GetNotificationResponse { notification: Some(found.into()) }))
    }

    async fn retry_notification(
        &self,
        request: Request<pb::RetryNotificationRequest>,
    ) -> Answer<pb::RetryNotificationResponse> {
        let who = self.caller(&request)?;
        let pb::RetryNotificationRequest { id, why, allow_late } = request.into_inner();
        let found = self.0.retry_notification(who, id, &Retry { why, allow_late }).await.map_err(status)?;
        Ok(Response::new(pb::RetryNotificationResponse { notification: Some(found.into()) }))
    }

    async fn cancel_notification(
        &self,
        request: Request<pb::CancelNotificationRequest>,
    ) -> Answer<pb::CancelNotificationResponse> {
        let who = self.caller(&request)?;
        let pb::CancelNotificationRequest { id, why } = request.into_inner();
        let found = self.0.cancel_notification(who, id, &why).await.map_err(status)?;
        Ok(Response::new(pb::CancelNotificationResponse { notification: Some(found.into()) }))
    }

    async fn hold_notification(
        &self,
        request: Request<pb::HoldNotificationRequest>,
    ) -> Answer<pb::HoldNotificationResponse> {
        let who = self.caller(&request)?;
        let pb::HoldNotificationRequest { id, why } = request.into_inner();
        let found = self.0.hold_notification(who, id, &why).await.map_err(status)?;
        Ok(Response::new(pb::HoldNotificationResponse { notification: Some(found.into()) }))
    }

    async fn get_queue(&self, request: Request<pb::GetQueueRequest>) -> Answer<pb::GetQueueResponse> {
        let who = self.caller(&request)?;
        let found = self.0.queue_status(who).await.map_err(status)?;
        Ok(Response::new(pb::GetQueueResponse { queue: Some(found.into()) }))
    }

    async fn pause_queue(&self, request: Request<pb::PauseQueueRequest>) -> Answer<pb::PauseQueueResponse> {
        let who = self.caller(&request)?;
        let pb::PauseQueueRequest { why, relay, kind } = request.into_inner();
        let found = self.0.pause_queue(who, QueuePart { relay, kind }, &why).await.map_err(status)?;
        Ok(Response::new(pb::PauseQueueResponse { queue: Some(found.into()) }))
    }

    async fn resume_queue(&self, request: Request<pb::ResumeQueueRequest>) -> Answer<pb::ResumeQueueResponse> {
        let who = self.caller(&request)?;
        let pb::ResumeQueueRequest { relay, kind } = request.into_inner();
        let found = self.0.resume_queue(who, QueuePart { relay, kind }).await.map_err(status)?;
        Ok(Response::new(pb::ResumeQueueResponse { queue: Some(found.into()) }))
    }

    async fn create_notification_operation(
        &self,
        request: Request<pb::CreateNotificationOperationRequest>,
    ) -> Answer<pb::CreateNotificationOperationResponse> {
        let who = self.caller(&request)?;
        let request = request.into_inner();
        let once = filters::once(&self.0, &request.request_id, &request)?;
        let new = filters::operation(request)?;
        let operation = self.0.start_notification_operation(who, new, once.as_ref()).await.map_err(status)?;
        Ok(Response::new(pb::CreateNotificationOperationResponse { operation: Some(operation.into()) }))
    }

    async fn get_notification_operation(
        &self,
        request: Request<pb::GetNotificationOperationRequest>,
    ) -> Answer<pb::GetNotificationOperationResponse> {
        let who = self.caller(&request)?;
        let pb::GetNotificationOperationRequest { id, wait } = request.into_inner();
        let operation = self.0.wait_for_notification_operation(who, id, filters::wait(wait)?).await.map_err(status)?;
        Ok(Response::new(pb::GetNotificationOperationResponse { operation: Some(operation.into()) }))
    }

    async fn list_notification_operations(
        &self,
        request: Request<pb::ListNotificationOperationsRequest>,
    ) -> Answer<pb::ListNotificationOperationsResponse> {
        let who = self.caller(&request)?;
        let pb::ListNotificationOperationsRequest { page_size, page_token } = request.into_inner();
        let page = filters::page(page_size, page_token)?;
        let found = self.0.notification_operations(who, &page).await.map_err(status)?;
        Ok(Response::new(pb::ListNotificationOperationsResponse {
            operations: found.items.into_iter().map(Into::into).collect(),
            next_page_token: found.next.unwrap_or_default(),
        }))
    }

    async fn cancel_notification_operation(
        &self,
        request: Request<pb::CancelNotificationOperationRequest>,
    ) -> Answer<pb::CancelNotificationOperationResponse> {
        let who = self.caller(&request)?;
        let operation = self.0.cancel_notification_operation(who, request.into_inner().id).await.map_err(status)?;
        Ok(Response::new(pb::CancelNotificationOperationResponse { operation: Some(operation.into()) }))
    }
}
