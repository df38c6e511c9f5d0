# The texts of a kind of mail may use $customer, $shop and $support_email, and those of the kind; labels have no others than those shown:
# order: $number, $status, $placed_on, $items (how many pieces), $shipped (how many of them are on their way), $item (the
# first one's name), $total, $refund (what this change pays back), $invoice_number, $invoice_on
# account: $email, $at
# product: $product, $price

order-placed =
    .subject = Your order { $number } at { $shop }
    .preheader =
        { $items ->
            [one] One item, { $total }.
           *[other] { $items } items, { $total }.
        } We will write again when it is on its way.
    .headline = Thank you for your order, { $customer }!
    .intro = We have received order { $number } of { $placed_on } and are getting it ready. We will write again when it is on its way.
order-partly-shipped =
    .subject = Part of order { $number } is on its way
    .headline = Part of it is on its way, { $customer }!
    .intro =
        { $shipped ->
            [one] One of { $items } items of order { $number } has left our warehouse.
           *[other] { $shipped } of { $items } items of order { $number } have left our warehouse.
        } The rest follows.
order-shipped =
    .subject = Order { $number } is on its way
    .headline = It is on its way, { $customer }!
    .intro = Order { $number } has left our warehouse.
order-delivered =
    .subject = Order { $number } has arrived
    .headline = It has arrived, { $customer }.
    .intro = Order { $number } was delivered. We hope you enjoy it; if anything is wrong, just reply to this email.
order-cancelled =
    .subject = Order { $number } is cancelled
    .headline = Your order is cancelled, { $customer }.
    .intro = Order { $number } of { $placed_on } will not be sent. Anything already paid is returned to you.
order-refunded =
    .subject = Money back for order { $number }
    .headline = We return your money, { $customer }.
    .intro = For order { $number } you get { $refund } back.
order-payment-received =
    .subject = We received your payment for order { $number }
    .headline = Thank you for your payment, { $customer }.
    .intro = Your payment for order { $number } has arrived.
order-payment-failed =
    .subject = Payment for order { $number } failed
    .headline = The payment did not go through, { $customer }.
    .intro = Order { $number } is not paid yet.
order-invoiced =
    .subject = Invoice { $invoice_number } for order { $number }
    .headline = Your invoice, { $customer }.
    .intro = Here is invoice { $invoice_number } of { $invoice_on } for order { $number }.
    .action = Download the invoice
order-noted =
    .subject = Update on your order { $number }
    .headline = An update on your order, { $customer }.
    .intro = There is an update on order { $number }.
order =
    .subject = Update on your order { $number }
    .headline = An update on your order, { $customer }.
    .intro = Order { $number } is now: { $status }.

account-verify-email =
    .subject = Please confirm your email address at { $shop }
    .headline = Is this your email address, { $customer }?
    .intro = Please confirm that { $email } is yours. If you did not ask for this, ignore this email.
    .action = Confirm the email address
account-reset-password =
    .subject = Choose a new password at { $shop }
    .headline = A new password, { $customer }?
    .intro = Somebody asked for a new password for your account. If it was not you, ignore this email: your password stays as it is.
    .action = Choose a password
account-password-changed =
    .subject = Your password at { $shop } was changed
    .headline = Your password was changed, { $customer }.
    .intro = If it was not you who changed it, write to us at once: { $support_email }.
account-email-changed =
    .subject = Your email address at { $shop } was changed
    .headline = Your email address was changed, { $customer }.
    .intro = Emails about your account and your orders now go to { $email }. If it was not you who changed it, write to us at once: { $support_email }.
account-new-log-in =
    .subject = A new log-in at { $shop }
    .headline = Was that you, { $customer }?
    .intro = Somebody logged in to your account from a new location. If it was you, all is well. If not, choose another password at once.
account-closed =
    .subject = Your account at { $shop } is closed
    .headline = Goodbye, { $customer }.
    .intro = Your account is closed, and your email address and name are deleted. This is our last email. If it was not you who closed it, write to us: { $support_email }.
account =
    .subject = Update on your account at { $shop }
    .headline = An update on your account, { $customer }.
    .intro = There is an update on your account at { $shop }.

product-back-in-stock =
    .subject = { $product } is back
    .headline = It is back, { $customer }!
    .intro = You asked us to write when { $product } is available again. It is now, for { $price }.
    .action = See it in the shop
product =
    .subject = News about { $product }
    .headline = News about { $product }, { $customer }.
    .intro = There is news about { $product }.
    .action = See it in the shop

other =
    .subject = News from { $shop }
    .headline = News from { $shop }, { $customer }.
    .intro = There is news for you at { $shop }.

status_pending = placed
status_partly_shipped = partly shipped
status_shipped = shipped
status_delivered = delivered
status_cancelled = cancelled

subtotal = Subtotal
discount = Discount
tax = Tax
tax_included = Included: { $tax }
shipping = Shipping
total = Total
due = Still to pay
refunded = Refunded
payment = Payment
pay = Pay now
ship_to = Ships to
bill_to = Billed to
parcel = Parcel
track = Track your parcel
invoice = Invoice
our_vat_id = Our VAT ID
your_vat_id = Your VAT ID
gift_message = Your gift message
merged =
    { $count ->
        [one] One more change since our last email
       *[other] { $count } more changes since our last email
    }
more_lines =
    { $count ->
        [one] and one more product
       *[other] and { $count } more products
    }
when = When
from_where = From
until = The link works until { $date }.
continue = Continue
open_order = See your order
questions = Questions? Write to us:
preferences = Email preferences
unsubscribe = Unsubscribe
