//! Calls on notifications and their queue.

use pb::notification_service_client::NotificationServiceClient;

use super::super::pb;
use super::answers::{self, given, notification_operation, record};
use super::{ANSWER_BYTES_MAX, Client, Error, Transport, wait};
use crate::notification::Filter;
use crate::service::{
    NewNotificationOperation, NotificationOperation, Page, QueuePart, QueueStatus, Record, Reproduction, Retry,
};

impl Client {
    fn notification_calls(&self) -> NotificationServiceClient<Transport> {
        NotificationServiceClient::new(self.transport.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The first of the notifications that match.
    pub async fn notifications(&self, filter: &Filter, limit: u32) -> Result<Page<Record>, Error> {
        let newest_first = filter.newest_first;
        let pb::NotificationFilter {
            state,
            order_id,
            user_id,
            endpoint_id,
            created_before,
            ended_since,
            kind,
            relay,
            reason,
            cancelled,
            delivery,
        } = filter.clone().into();
        let request = pb::ListNotificationsRequest {
            order_id,
            state,
            page_size: i32::try_from(limit).unwrap_or(i32::MAX),
            page_token: String::new(),
            user_id,
            endpoint_id,
            created_before,
            kind,
            relay,
            reason,
            newest_first,
            ended_since,
            cancelled,
            delivery,
        };
        let answer = self.notification_calls().list_notifications(request).await?.into_inner();
        answers::page(answer.notifications, answer.next_page_token, record)
    }

    /// One notification.
    pub async fn notification(&self, id: i64) -> Result<Record, Error> {
        let answer = self.notification_calls().get_notification(pb::GetNotificationRequest { id }).await?.into_inner();
        record(given("notification", answer.notification)?)
    }

    /// Queues one again.
    pub async fn retry(&self, id: i64, retry: &Retry) -> Result<Record, Error> {
        let Retry { why, allow_late } = retry.clone();
        let request = pb::RetryNotificationRequest { id, why, allow_late };
        let answer = self.notification_calls().retry_notification(request).await?.into_inner();
        record(given("notification", answer.notification)?)
    }

    /// Ends one without a mail.
    pub async fn cancel(&self, id: i64, why: String) -> Result<Record, Error> {
        let request = pb::CancelNotificationRequest { id, why };
        let answer = self.notification_calls().cancel_notification(request).await?.into_inner();
        record(given("notification", answer.notification)?)
    }

    /// Takes one out of the queue.
    pub async fn hold(&self, id: i64, why: String) -> Result<Record, Error> {
        let request = pb::HoldNotificationRequest { id, why };
        let answer = self.notification_calls().hold_notification(request).await?.into_inner();
        record(given("notification", answer.notification)?)
    }

    /// Makes a mail that was sent again.
    pub async fn reproduce(&self, id: i64) -> Result<Reproduction, Error> {
        let request = pb::ReproduceNotificationRequest { id };
        let answer = self.plugin_calls().reproduce_notification(request).await?.into_inner();
        let pb::ReproduceNotificationResponse { revision, digest, seed, sent_hash, made_hash, is_same, message } =
            answer;
        Ok(Reproduction { notification_id: id, revision, digest, seed, sent_hash, made_hash, is_same, message })
    }

    /// How the queue stands.
    pub async fn queue(&self) -> Result<QueueStatus, Error> {
        answers::queue(self.notification_calls().get_queue(pb::GetQueueRequest {}).await?.into_inner().queue)
    }

    /// Keeps every host from claiming another notification, or from sending some of them.
    pub async fn pause(&self, part: QueuePart, why: String) -> Result<QueueStatus, Error> {
        let QueuePart { relay, kind } = part;
        let request = pb::PauseQueueRequest { why, relay, kind };
        answers::queue(self.notification_calls().pause_queue(request).await?.into_inner().queue)
    }

    /// Lets hosts deliver again.
    pub async fn resume(&self, part: QueuePart) -> Result<QueueStatus, Error> {
        let QueuePart { relay, kind } = part;
        let request = pb::ResumeQueueRequest { relay, kind };
        answers::queue(self.notification_calls().resume_queue(request).await?.into_inner().queue)
    }

    /// Begins an act on all that match, or only counts them.
    pub async fn start_bulk(&self, new: NewNotificationOperation) -> Result<NotificationOperation, Error> {
        let NewNotificationOperation { act, filter, why, allow_late, matches_max, validate_only } = new;
        let request = pb::CreateNotificationOperationRequest {
            act: pb::NotificationAct::from(act).into(),
            filter: Some(filter.into()),
            why,
            allow_late,
            matches_max,
            validate_only,
            request_id: String::new(),
        };
        let answer = self.notification_calls().create_notification_operation(request).await?.into_inner();
        notification_operation(given("operation", answer.operation)?)
    }

    /// How far such an act is; at once, or when it has ended within the time.
    pub async fn bulk(&self, id: i64, time: std::time::Duration) -> Result<NotificationOperation, Error> {
        let request = pb::GetNotificationOperationRequest { id, wait: wait(time) };
        let answer = self.notification_calls().get_notification_operation(request).await?.into_inner();
        notification_operation(given("operation", answer.operation)?)
    }

    /// The newest of such acts.
    pub async fn bulks(&self, limit: u32) -> Result<Page<NotificationOperation>, Error> {
        let page_size = i32::try_from(limit).unwrap_or(i32::MAX);
        let request = pb::ListNotificationOperationsRequest { page_size, page_token: String::new() };
        let answer = self.notification_calls().list_notification_operations(request).await?.into_inner();
        answers::page(answer.operations, answer.next_page_token, notification_operation)
    }

    /// Asks that such an act end early.
    pub async fn cancel_bulk(&self, id: i64) -> Result<NotificationOperation, Error> {
        let request = pb::CancelNotificationOperationRequest { id };
        let answer = self.notification_calls().cancel_notification_operation(request).await?.into_inner();
        notification_operation(given("operation", answer.operation)?)
    }
}
