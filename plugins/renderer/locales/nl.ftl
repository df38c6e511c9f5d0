order-placed =
    .subject = Uw bestelling { $number } bij { $shop }
    .preheader =
        { $items ->
            [one] Eén artikel, { $total }.
           *[other] { $items } artikelen, { $total }.
        } We schrijven weer zodra deze onderweg is.
    .headline = Bedankt voor uw bestelling, { $customer }!
    .intro = We hebben bestelling { $number } van { $placed_on } ontvangen en maken deze klaar. We schrijven weer zodra deze onderweg is.
order-partly-shipped =
    .subject = Een deel van bestelling { $number } is onderweg
    .headline = Een deel is onderweg, { $customer }!
    .intro =
        { $shipped ->
            [one] Van de { $items } artikelen van bestelling { $number } heeft er { $shipped } ons magazijn verlaten.
           *[other] Van de { $items } artikelen van bestelling { $number } hebben er { $shipped } ons magazijn verlaten.
        } De rest volgt.
order-shipped =
    .subject = Bestelling { $number } is onderweg
    .headline = Uw bestelling is onderweg, { $customer }!
    .intro = Bestelling { $number } heeft ons magazijn verlaten.
order-delivered =
    .subject = Bestelling { $number } is aangekomen
    .headline = Uw bestelling is er, { $customer }.
    .intro = Bestelling { $number } is bezorgd. Veel plezier ermee; klopt er iets niet, antwoord dan gewoon op deze mail.
order-cancelled =
    .subject = Bestelling { $number } is geannuleerd
    .headline = Uw bestelling is geannuleerd, { $customer }.
    .intro = Bestelling { $number } van { $placed_on } wordt niet verzonden. Wat al betaald is, krijgt u terug.
order-refunded =
    .subject = Geld terug voor bestelling { $number }
    .headline = U krijgt geld terug, { $customer }.
    .intro = Voor bestelling { $number } krijgt u { $refund } terug.
order-payment-received =
    .subject = We hebben uw betaling voor bestelling { $number } ontvangen
    .headline = Bedankt voor uw betaling, { $customer }.
    .intro = We hebben uw betaling voor bestelling { $number } ontvangen.
order-payment-failed =
    .subject = Betaling van bestelling { $number } is mislukt
    .headline = De betaling is mislukt, { $customer }.
    .intro = Bestelling { $number } is nog niet betaald.
order-invoiced =
    .subject = Factuur { $invoice_number } bij bestelling { $number }
    .headline = Uw factuur, { $customer }.
    .intro = Hier is factuur { $invoice_number } van { $invoice_on } bij bestelling { $number }.
    .action = Factuur downloaden
order-noted =
    .subject = Nieuws over uw bestelling { $number }
    .headline = Nieuws over uw bestelling, { $customer }.
    .intro = Er is nieuws over bestelling { $number }.
order =
    .subject = Nieuws over uw bestelling { $number }
    .headline = Nieuws over uw bestelling, { $customer }.
    .intro = Bestelling { $number } is nu: { $status }.

account-verify-email =
    .subject = Bevestig uw e-mailadres bij { $shop }
    .headline = Is dit uw e-mailadres, { $customer }?
    .intro = Bevestig dat { $email } van u is. Hebt u hier niet om gevraagd, negeer deze mail dan.
    .action = E-mailadres bevestigen
account-reset-password =
    .subject = Kies een nieuw wachtwoord bij { $shop }
    .headline = Een nieuw wachtwoord, { $customer }?
    .intro = Iemand heeft een nieuw wachtwoord voor uw account gevraagd. Was u dat niet, negeer deze mail dan: uw wachtwoord blijft zoals het is.
    .action = Wachtwoord kiezen
account-password-changed =
    .subject = Uw wachtwoord bij { $shop } is gewijzigd
    .headline = Uw wachtwoord is gewijzigd, { $customer }.
    .intro = Hebt u dat niet zelf gedaan, schrijf ons dan meteen: { $support_email }.
account-email-changed =
    .subject = Uw e-mailadres bij { $shop } is gewijzigd
    .headline = Uw e-mailadres is gewijzigd, { $customer }.
    .intro = Mails over uw account en uw bestellingen gaan nu naar { $email }. Hebt u dat niet zelf gedaan, schrijf ons dan meteen: { $support_email }.
account-new-log-in =
    .subject = Nieuwe inlog bij { $shop }
    .headline = Was u dat, { $customer }?
    .intro = Iemand heeft op uw account ingelogd vanaf een nieuwe plek. Was u het, dan is alles in orde. Zo niet, kies dan meteen een ander wachtwoord.
account-closed =
    .subject = Uw account bij { $shop } is gesloten
    .headline = Tot ziens, { $customer }.
    .intro = Uw account is gesloten; uw e-mailadres en naam zijn verwijderd. Dit is onze laatste mail. Hebt u dat niet zelf gedaan, schrijf ons dan: { $support_email }.
account =
    .subject = Nieuws over uw account bij { $shop }
    .headline = Nieuws over uw account, { $customer }.
    .intro = Er is nieuws over uw account bij { $shop }.

product-back-in-stock =
    .subject = { $product } is er weer
    .headline = Het is er weer, { $customer }!
    .intro = U vroeg ons te schrijven zodra { $product } weer verkrijgbaar is. Dat is nu zo, voor { $price }.
    .action = Bekijken in de winkel
product =
    .subject = Nieuws over { $product }
    .headline = Nieuws over { $product }, { $customer }.
    .intro = Er is nieuws over { $product }.
    .action = Bekijken in de winkel

other =
    .subject = Nieuws van { $shop }
    .headline = Nieuws van { $shop }, { $customer }.
    .intro = Er is nieuws voor u bij { $shop }.

status_pending = ontvangen
status_partly_shipped = gedeeltelijk verzonden
status_shipped = verzonden
status_delivered = bezorgd
status_cancelled = geannuleerd

subtotal = Subtotaal
discount = Korting
tax = Belasting
tax_included = Inbegrepen: { $tax }
shipping = Verzending
total = Totaal
due = Nog te betalen
refunded = Terugbetaald
payment = Betaling
pay = Nu betalen
ship_to = Bezorgadres
bill_to = Factuuradres
parcel = Pakket
track = Pakket volgen
invoice = Factuur
our_vat_id = Ons btw-nummer
your_vat_id = Uw btw-nummer
gift_message = Uw boodschap bij het cadeau
merged =
    { $count ->
        [one] Nog een wijziging sinds onze laatste mail
       *[other] Nog { $count } wijzigingen sinds onze laatste mail
    }
more_lines =
    { $count ->
        [one] en nog een product
       *[other] en nog { $count } producten
    }
when = Wanneer
from_where = Vanaf
until = De link werkt tot { $date }.
continue = Verder
open_order = Bestelling bekijken
questions = Vragen? Schrijf ons:
preferences = E-mailvoorkeuren
unsubscribe = Afmelden
