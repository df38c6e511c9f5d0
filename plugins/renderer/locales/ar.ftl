order-placed =
    .subject = طلبك { $number } لدى { $shop }
    .preheader =
        { $items ->
            [zero] لا توجد منتجات، { $total }.
            [one] منتج واحد، { $total }.
            [two] منتجان، { $total }.
            [few] { $items } منتجات، { $total }.
            [many] { $items } منتجًا، { $total }.
           *[other] { $items } منتج، { $total }.
        } سنكتب إليك مجددًا عند شحنه.
    .headline = شكرًا لطلبك، { $customer }!
    .intro = استلمنا الطلب { $number } بتاريخ { $placed_on } ونعمل على تجهيزه. سنكتب إليك مجددًا عند شحنه.
order-partly-shipped =
    .subject = جزء من الطلب { $number } في الطريق إليك
    .headline = جزء من طلبك في الطريق، { $customer }!
    .intro =
        { $shipped ->
            [zero] لم يغادر مستودعنا بعد أي منتج من الطلب { $number }، وعدد منتجاته { $items }.
            [one] غادر مستودعنا منتج واحد من الطلب { $number }، وعدد منتجاته { $items }.
            [two] غادر مستودعنا منتجان من الطلب { $number }، وعدد منتجاته { $items }.
            [few] غادرت مستودعنا { $shipped } منتجات من الطلب { $number }، وعدد منتجاته { $items }.
            [many] غادر مستودعنا { $shipped } منتجًا من الطلب { $number }، وعدد منتجاته { $items }.
           *[other] غادر مستودعنا { $shipped } منتج من الطلب { $number }، وعدد منتجاته { $items }.
        } سيصل الباقي لاحقًا.
order-shipped =
    .subject = الطلب { $number } في الطريق إليك
    .headline = طلبك في الطريق، { $customer }!
    .intro = غادر الطلب { $number } مستودعنا.
order-delivered =
    .subject = وصل الطلب { $number }
    .headline = وصل طلبك، { $customer }.
    .intro = تم تسليم الطلب { $number }. نأمل أن ينال إعجابك، وإن وجدت أي خطأ فما عليك سوى الرد على هذه الرسالة.
order-cancelled =
    .subject = أُلغي الطلب { $number }
    .headline = أُلغي طلبك، { $customer }.
    .intro = لن يُشحن الطلب { $number } بتاريخ { $placed_on }. سنعيد إليك كل ما دُفع.
order-refunded =
    .subject = استرداد مبلغ عن الطلب { $number }
    .headline = نعيد إليك المبلغ، { $customer }.
    .intro = نعيد إليك { $refund } عن الطلب { $number }.
order-payment-received =
    .subject = استلمنا دفعتك للطلب { $number }
    .headline = شكرًا على الدفع، { $customer }.
    .intro = وصلتنا دفعتك للطلب { $number }.
order-payment-failed =
    .subject = تعذر دفع قيمة الطلب { $number }
    .headline = لم تكتمل عملية الدفع، { $customer }.
    .intro = لم تُدفع قيمة الطلب { $number } بعد.
order-invoiced =
    .subject = الفاتورة { $invoice_number } للطلب { $number }
    .headline = فاتورتك، { $customer }.
    .intro = إليك الفاتورة { $invoice_number } بتاريخ { $invoice_on } للطلب { $number }.
    .action = تنزيل الفاتورة
order-noted =
    .subject = مستجدات طلبك { $number }
    .headline = مستجدات طلبك، { $customer }.
    .intro = هناك مستجدات بشأن الطلب { $number }.
order =
    .subject = مستجدات طلبك { $number }
    .headline = مستجدات طلبك، { $customer }.
    .intro = حالة الطلب { $number } الآن: { $status }.

account-verify-email =
    .subject = يرجى تأكيد بريدك الإلكتروني لدى { $shop }
    .headline = هل هذا بريدك الإلكتروني، { $customer }؟
    .intro = يرجى تأكيد أن { $email } بريدك الإلكتروني. إن لم تطلب ذلك فتجاهل هذه الرسالة.
    .action = تأكيد البريد الإلكتروني
account-reset-password =
    .subject = اختر كلمة مرور جديدة لدى { $shop }
    .headline = كلمة مرور جديدة، { $customer }؟
    .intro = طلب أحدهم كلمة مرور جديدة لحسابك. إن لم تكن أنت فتجاهل هذه الرسالة: ستبقى كلمة مرورك كما هي.
    .action = اختيار كلمة مرور
account-password-changed =
    .subject = تغيرت كلمة مرورك لدى { $shop }
    .headline = تغيرت كلمة مرورك، { $customer }.
    .intro = إن لم تكن أنت من غيّرها فاكتب إلينا فورًا: { $support_email }.
account-email-changed =
    .subject = تغير بريدك الإلكتروني لدى { $shop }
    .headline = تغير بريدك الإلكتروني، { $customer }.
    .intro = تُرسل الرسائل المتعلقة بحسابك وطلباتك من الآن إلى { $email }. إن لم تكن أنت من غيّره فاكتب إلينا فورًا: { $support_email }.
account-new-log-in =
    .subject = تسجيل دخول جديد لدى { $shop }
    .headline = هل كان ذلك أنت، { $customer }؟
    .intro = سجّل أحدهم الدخول إلى حسابك من مكان غير معتاد. إن كنت أنت فكل شيء على ما يرام، وإلا فاختر كلمة مرور أخرى فورًا.
account-closed =
    .subject = أُغلق حسابك لدى { $shop }
    .headline = مع السلامة، { $customer }.
    .intro = أُغلق حسابك وحُذف بريدك الإلكتروني واسمك. هذه آخر رسالة منا. إن لم تكن أنت من أغلقه فاكتب إلينا: { $support_email }.
account =
    .subject = مستجدات حسابك لدى { $shop }
    .headline = مستجدات حسابك، { $customer }.
    .intro = هناك مستجدات بشأن حسابك لدى { $shop }.

product-back-in-stock =
    .subject = توفر مجددًا: { $product }
    .headline = توفر مجددًا، { $customer }!
    .intro = طلبت منا أن نكتب إليك عند توفر { $product }. وهو متوفر الآن بسعر { $price }.
    .action = عرض في المتجر
product =
    .subject = مستجدات: { $product }
    .headline = مستجدات { $product }، { $customer }.
    .intro = هناك مستجدات بشأن { $product }.
    .action = عرض في المتجر

other =
    .subject = مستجدات من { $shop }
    .headline = مستجدات من { $shop }، { $customer }.
    .intro = لدى { $shop } مستجدات لك.

status_pending = تم الاستلام
status_partly_shipped = شُحن جزئيًا
status_shipped = شُحن
status_delivered = سُلّم
status_cancelled = أُلغي

subtotal = المجموع الفرعي
discount = الخصم
tax = الضريبة
tax_included = مشمول: { $tax }
shipping = الشحن
total = الإجمالي
due = المتبقي للدفع
refunded = المبلغ المسترد
payment = طريقة الدفع
pay = ادفع الآن
ship_to = عنوان الشحن
bill_to = عنوان الفوترة
parcel = الطرد
track = تتبع الطرد
invoice = الفاتورة
our_vat_id = رقمنا الضريبي
your_vat_id = رقمك الضريبي
gift_message = رسالة الهدية
merged =
    { $count ->
        [zero] لا تغييرات أخرى منذ رسالتنا الأخيرة
        [one] تغيير آخر منذ رسالتنا الأخيرة
        [two] تغييران آخران منذ رسالتنا الأخيرة
        [few] { $count } تغييرات أخرى منذ رسالتنا الأخيرة
        [many] { $count } تغييرًا آخر منذ رسالتنا الأخيرة
       *[other] { $count } تغيير آخر منذ رسالتنا الأخيرة
    }
more_lines =
    { $count ->
        [zero] ولا منتجات أخرى
        [one] ومنتج آخر
        [two] ومنتجان آخران
        [few] و{ $count } منتجات أخرى
        [many] و{ $count } منتجًا آخر
       *[other] و{ $count } منتج آخر
    }
when = الوقت
from_where = من
until = الرابط صالح حتى { $date }.
continue = متابعة
open_order = عرض الطلب
questions = لديك أسئلة؟ اكتب إلينا:
preferences = تفضيلات البريد
unsubscribe = إلغاء الاشتراك
