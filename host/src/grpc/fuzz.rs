//! What a call may say; see [`crate::fuzz`].

use prost::Message;
use tonic::{Code, Status};

use super::{filters, pb};
use crate::shop::order::{Change, NewOrder};
use crate::shop::product::NewProduct;
use crate::shop::user::NewUser;

/// Messages, by all who read one that is not simple; the first byte says which.
pub(crate) fn messages(bytes: &[u8]) {
    let Some((which, message)) = bytes.split_first() else { return };
    let readers = [
        said::<pb::CreateOrderRequest, NewOrder>,
        said::<pb::ChangeOrderStatusRequest, Change>,
        said::<pb::RecordOrderRefundRequest, Change>,
        said::<pb::RecordOrderPaymentRequest, Change>,
        said::<pb::RecordOrderInvoiceRequest, Change>,
        said::<pb::AddOrderNoteRequest, Change>,
        said::<pb::CreateUserRequest, NewUser>,
        said::<pb::CreateProductRequest, NewProduct>,
        |message: &[u8]| read(message, filters::products),
        |message: &[u8]| read(message, filters::orders),
        |message: &[u8]| read(message, filters::notifications),
        |message: &[u8]| read(message, filters::operation),
    ];
    readers[usize::from(*which) % readers.len()](message);
}

fn said<M: Message + Default, T: TryFrom<M, Error = Status>>(message: &[u8]) {
    read(message, T::try_from);
}

fn read<M: Message + Default, T>(message: &[u8], reader: impl Fn(M) -> Result<T, Status>) {
    let Ok(message) = M::decode(message) else { return };
    if let Err(refused) = reader(message) {
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
}
