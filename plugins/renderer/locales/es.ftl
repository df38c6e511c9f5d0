order-placed =
    .subject = Su pedido { $number } en { $shop }
    .preheader =
        { $items ->
            [one] Un artículo, { $total }.
           *[other] { $items } artículos, { $total }.
        } Le escribiremos en cuanto esté en camino.
    .headline = ¡Gracias por su pedido, { $customer }!
    .intro = Hemos recibido el pedido { $number } del { $placed_on } y lo estamos preparando. Le escribiremos en cuanto esté en camino.
order-partly-shipped =
    .subject = Una parte del pedido { $number } está en camino
    .headline = ¡Una parte está en camino, { $customer }!
    .intro =
        { $shipped ->
            [one] De los { $items } artículos del pedido { $number }, { $shipped } ha salido de nuestro almacén.
           *[other] De los { $items } artículos del pedido { $number }, { $shipped } han salido de nuestro almacén.
        } El resto le seguirá.
order-shipped =
    .subject = El pedido { $number } está en camino
    .headline = ¡Su pedido está en camino, { $customer }!
    .intro = El pedido { $number } ha salido de nuestro almacén.
order-delivered =
    .subject = El pedido { $number } ha llegado
    .headline = Su pedido ha llegado, { $customer }.
    .intro = El pedido { $number } se ha entregado. Esperamos que lo disfrute; si algo no está bien, responda a este mensaje.
order-cancelled =
    .subject = El pedido { $number } está cancelado
    .headline = Su pedido está cancelado, { $customer }.
    .intro = El pedido { $number } del { $placed_on } no se enviará. Le devolvemos lo que ya haya pagado.
order-refunded =
    .subject = Reembolso del pedido { $number }
    .headline = Le devolvemos su dinero, { $customer }.
    .intro = Por el pedido { $number } le devolvemos { $refund }.
order-payment-received =
    .subject = Hemos recibido el pago del pedido { $number }
    .headline = Gracias por su pago, { $customer }.
    .intro = Hemos recibido su pago del pedido { $number }.
order-payment-failed =
    .subject = No se pudo cobrar el pedido { $number }
    .headline = El pago no se ha completado, { $customer }.
    .intro = El pedido { $number } aún no está pagado.
order-invoiced =
    .subject = Factura { $invoice_number } del pedido { $number }
    .headline = Su factura, { $customer }.
    .intro = Aquí tiene la factura { $invoice_number } del { $invoice_on } correspondiente al pedido { $number }.
    .action = Descargar la factura
order-noted =
    .subject = Novedades de su pedido { $number }
    .headline = Novedades de su pedido, { $customer }.
    .intro = Hay novedades del pedido { $number }.
order =
    .subject = Novedades de su pedido { $number }
    .headline = Novedades de su pedido, { $customer }.
    .intro = Estado del pedido { $number }: { $status }.

account-verify-email =
    .subject = Confirme su correo electrónico en { $shop }
    .headline = ¿Es este su correo electrónico, { $customer }?
    .intro = Confirme que { $email } es suyo. Si no ha pedido esto, ignore este mensaje.
    .action = Confirmar el correo
account-reset-password =
    .subject = Elija una nueva contraseña en { $shop }
    .headline = ¿Una nueva contraseña, { $customer }?
    .intro = Alguien ha pedido una nueva contraseña para su cuenta. Si no ha sido usted, ignore este mensaje: su contraseña no cambia.
    .action = Elegir contraseña
account-password-changed =
    .subject = Su contraseña en { $shop } ha cambiado
    .headline = Su contraseña ha cambiado, { $customer }.
    .intro = Si no la ha cambiado usted, escríbanos cuanto antes: { $support_email }.
account-email-changed =
    .subject = Su correo electrónico en { $shop } ha cambiado
    .headline = Su correo electrónico ha cambiado, { $customer }.
    .intro = Los mensajes sobre su cuenta y sus pedidos se envían ahora a { $email }. Si no lo ha cambiado usted, escríbanos cuanto antes: { $support_email }.
account-new-log-in =
    .subject = Nuevo inicio de sesión en { $shop }
    .headline = ¿Ha sido usted, { $customer }?
    .intro = Alguien ha iniciado sesión en su cuenta desde un lugar no habitual. Si ha sido usted, todo está bien. Si no, elija otra contraseña cuanto antes.
account-closed =
    .subject = Su cuenta en { $shop } está cerrada
    .headline = Hasta siempre, { $customer }.
    .intro = Su cuenta está cerrada y hemos borrado su correo electrónico y su nombre. Este es nuestro último mensaje. Si no la ha cerrado usted, escríbanos: { $support_email }.
account =
    .subject = Novedades de su cuenta en { $shop }
    .headline = Novedades de su cuenta, { $customer }.
    .intro = Hay novedades de su cuenta en { $shop }.

product-back-in-stock =
    .subject = Vuelve a estar disponible: { $product }
    .headline = ¡Ya está de vuelta, { $customer }!
    .intro = Nos pidió que le avisáramos cuando { $product } volviera a estar disponible. Ya lo está, por { $price }.
    .action = Ver en la tienda
product =
    .subject = Novedades de { $product }
    .headline = Novedades de { $product }, { $customer }.
    .intro = Hay novedades de { $product }.
    .action = Ver en la tienda

other =
    .subject = Novedades de { $shop }
    .headline = Novedades de { $shop }, { $customer }.
    .intro = Hay novedades para usted en { $shop }.

status_pending = recibido
status_partly_shipped = enviado en parte
status_shipped = enviado
status_delivered = entregado
status_cancelled = cancelado

subtotal = Subtotal
discount = Descuento
tax = Impuestos
tax_included = Incluido: { $tax }
shipping = Envío
total = Total
due = Pendiente de pago
refunded = Reembolsado
payment = Pago
pay = Pagar ahora
ship_to = Enviar a
bill_to = Facturar a
parcel = Paquete
track = Seguir el paquete
invoice = Factura
our_vat_id = Nuestro NIF-IVA
your_vat_id = Su NIF-IVA
gift_message = Su mensaje de regalo
merged =
    { $count ->
        [one] Otro cambio desde nuestro último mensaje
       *[other] Otros { $count } cambios desde nuestro último mensaje
    }
more_lines =
    { $count ->
        [one] y un producto más
       *[other] y { $count } productos más
    }
when = Cuándo
from_where = Desde
until = El enlace es válido hasta el { $date }.
continue = Continuar
open_order = Ver el pedido
questions = ¿Preguntas? Escríbanos:
preferences = Preferencias de correo
unsubscribe = Darse de baja
