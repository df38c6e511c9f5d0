order-placed =
    .subject = Ihre Bestellung { $number } bei { $shop }
    .preheader =
        { $items ->
            [one] Ein Artikel, { $total }.
           *[other] { $items } Artikel, { $total }.
        } Sobald die Bestellung unterwegs ist, melden wir uns wieder.
    .headline = Vielen Dank für Ihre Bestellung, { $customer }!
    .intro = Wir haben die Bestellung { $number } vom { $placed_on } erhalten und bereiten sie vor. Sobald sie unterwegs ist, melden wir uns wieder.
order-partly-shipped =
    .subject = Ein Teil der Bestellung { $number } ist unterwegs
    .headline = Ein Teil ist unterwegs, { $customer }!
    .intro =
        { $shipped ->
            [one] Einer von { $items } Artikeln der Bestellung { $number } hat unser Lager verlassen.
           *[other] { $shipped } von { $items } Artikeln der Bestellung { $number } haben unser Lager verlassen.
        } Der Rest folgt.
order-shipped =
    .subject = Bestellung { $number } ist unterwegs
    .headline = Ihre Bestellung ist unterwegs, { $customer }!
    .intro = Die Bestellung { $number } hat unser Lager verlassen.
order-delivered =
    .subject = Bestellung { $number } ist angekommen
    .headline = Ihre Bestellung ist da, { $customer }.
    .intro = Die Bestellung { $number } wurde zugestellt. Viel Freude damit! Sollte etwas nicht stimmen, antworten Sie einfach auf diese E-Mail.
order-cancelled =
    .subject = Bestellung { $number } ist storniert
    .headline = Ihre Bestellung ist storniert, { $customer }.
    .intro = Die Bestellung { $number } vom { $placed_on } wird nicht versendet. Bereits Gezahltes erstatten wir.
order-refunded =
    .subject = Erstattung zur Bestellung { $number }
    .headline = Sie bekommen Geld zurück, { $customer }.
    .intro = Zur Bestellung { $number } erstatten wir { $refund }.
order-payment-received =
    .subject = Ihre Zahlung für die Bestellung { $number } ist da
    .headline = Vielen Dank für Ihre Zahlung, { $customer }.
    .intro = Ihre Zahlung für die Bestellung { $number } ist bei uns eingegangen.
order-payment-failed =
    .subject = Zahlung der Bestellung { $number } fehlgeschlagen
    .headline = Die Zahlung ist fehlgeschlagen, { $customer }.
    .intro = Die Bestellung { $number } ist noch nicht bezahlt.
order-invoiced =
    .subject = Rechnung { $invoice_number } zur Bestellung { $number }
    .headline = Ihre Rechnung, { $customer }.
    .intro = Hier ist die Rechnung { $invoice_number } vom { $invoice_on } zur Bestellung { $number }.
    .action = Rechnung herunterladen
order-noted =
    .subject = Neues zu Ihrer Bestellung { $number }
    .headline = Neues zu Ihrer Bestellung, { $customer }.
    .intro = Es gibt Neues zur Bestellung { $number }.
order =
    .subject = Neues zu Ihrer Bestellung { $number }
    .headline = Neues zu Ihrer Bestellung, { $customer }.
    .intro = Die Bestellung { $number } ist jetzt: { $status }.

account-verify-email =
    .subject = Bitte bestätigen Sie Ihre E-Mail-Adresse bei { $shop }
    .headline = Ist das Ihre E-Mail-Adresse, { $customer }?
    .intro = Bitte bestätigen Sie, dass { $email } Ihnen gehört. Wenn Sie das nicht wollten, ignorieren Sie diese E-Mail.
    .action = E-Mail-Adresse bestätigen
account-reset-password =
    .subject = Neues Passwort bei { $shop }
    .headline = Ein neues Passwort, { $customer }?
    .intro = Für Ihr Konto wurde ein neues Passwort angefordert. Wenn Sie das nicht waren, ignorieren Sie diese E-Mail: Ihr Passwort bleibt, wie es ist.
    .action = Passwort wählen
account-password-changed =
    .subject = Ihr Passwort bei { $shop } wurde geändert
    .headline = Ihr Passwort wurde geändert, { $customer }.
    .intro = Wenn Sie es nicht selbst geändert haben, schreiben Sie uns sofort: { $support_email }.
account-email-changed =
    .subject = Ihre E-Mail-Adresse bei { $shop } wurde geändert
    .headline = Ihre E-Mail-Adresse wurde geändert, { $customer }.
    .intro = E-Mails zu Ihrem Konto und Ihren Bestellungen gehen jetzt an { $email }. Wenn Sie das nicht selbst geändert haben, schreiben Sie uns sofort: { $support_email }.
account-new-log-in =
    .subject = Neue Anmeldung bei { $shop }
    .headline = Waren Sie das, { $customer }?
    .intro = In Ihrem Konto hat sich jemand von einem neuen Ort angemeldet. Wenn Sie das waren, ist alles gut. Wenn nicht, wählen Sie sofort ein anderes Passwort.
account-closed =
    .subject = Ihr Konto bei { $shop } ist geschlossen
    .headline = Auf Wiedersehen, { $customer }.
    .intro = Ihr Konto ist geschlossen, Ihre E-Mail-Adresse und Ihr Name sind gelöscht. Das ist unsere letzte E-Mail. Wenn Sie das nicht selbst waren, schreiben Sie uns: { $support_email }.
account =
    .subject = Neues zu Ihrem Konto bei { $shop }
    .headline = Neues zu Ihrem Konto, { $customer }.
    .intro = Es gibt Neues zu Ihrem Konto bei { $shop }.

product-back-in-stock =
    .subject = { $product } ist wieder da
    .headline = Wieder da, { $customer }!
    .intro = Wir sollten Ihnen schreiben, wenn { $product } wieder zu haben ist. Jetzt ist es so weit, für { $price }.
    .action = Im Shop ansehen
product =
    .subject = Neues zu { $product }
    .headline = Neues zu { $product }, { $customer }.
    .intro = Es gibt Neues zu { $product }.
    .action = Im Shop ansehen

other =
    .subject = Neues von { $shop }
    .headline = Neues von { $shop }, { $customer }.
    .intro = Bei { $shop } gibt es Neues für Sie.

status_pending = eingegangen
status_partly_shipped = teilweise versandt
status_shipped = versandt
status_delivered = zugestellt
status_cancelled = storniert

subtotal = Zwischensumme
discount = Rabatt
tax = Steuer
tax_included = Darin enthalten: { $tax }
shipping = Versand
total = Summe
due = Noch zu zahlen
refunded = Erstattet
payment = Zahlung
pay = Jetzt bezahlen
ship_to = Lieferung an
bill_to = Rechnung an
parcel = Sendung
track = Sendung verfolgen
invoice = Rechnung
our_vat_id = Unsere USt-IdNr.
your_vat_id = Ihre USt-IdNr.
gift_message = Ihre Grußbotschaft
merged =
    { $count ->
        [one] Eine weitere Änderung seit unserer letzten E-Mail
       *[other] { $count } weitere Änderungen seit unserer letzten E-Mail
    }
more_lines =
    { $count ->
        [one] und ein weiterer Artikel
       *[other] und { $count } weitere Artikel
    }
when = Wann
from_where = Von
until = Der Link gilt bis { $date }.
continue = Weiter
open_order = Bestellung ansehen
questions = Fragen? Schreiben Sie uns:
preferences = E-Mail-Einstellungen
unsubscribe = Abbestellen
