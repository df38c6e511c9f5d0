order-placed =
    .subject = Din beställning { $number } hos { $shop }
    .preheader =
        { $items ->
            [one] En vara, { $total }.
           *[other] { $items } varor, { $total }.
        } Vi skriver igen när den är på väg.
    .headline = Tack för din beställning, { $customer }!
    .intro = Vi har tagit emot beställning { $number } från { $placed_on } och gör den i ordning. Vi skriver igen när den är på väg.
order-partly-shipped =
    .subject = En del av beställning { $number } är på väg
    .headline = En del är på väg, { $customer }!
    .intro =
        { $shipped ->
            [one] En av { $items } varor i beställning { $number } har lämnat vårt lager.
           *[other] { $shipped } av { $items } varor i beställning { $number } har lämnat vårt lager.
        } Resten kommer senare.
order-shipped =
    .subject = Beställning { $number } är på väg
    .headline = Din beställning är på väg, { $customer }!
    .intro = Beställning { $number } har lämnat vårt lager.
order-delivered =
    .subject = Beställning { $number } har kommit fram
    .headline = Din beställning har kommit fram, { $customer }.
    .intro = Beställning { $number } är levererad. Vi hoppas att du blir nöjd; om något inte stämmer kan du bara svara på det här mejlet.
order-cancelled =
    .subject = Beställning { $number } är annullerad
    .headline = Din beställning är annullerad, { $customer }.
    .intro = Beställning { $number } från { $placed_on } kommer inte att skickas. Det som redan är betalt får du tillbaka.
order-refunded =
    .subject = Återbetalning för beställning { $number }
    .headline = Du får pengar tillbaka, { $customer }.
    .intro = För beställning { $number } får du { $refund } tillbaka.
order-payment-received =
    .subject = Vi har fått din betalning för beställning { $number }
    .headline = Tack för din betalning, { $customer }.
    .intro = Din betalning för beställning { $number } har kommit in.
order-payment-failed =
    .subject = Betalningen för beställning { $number } misslyckades
    .headline = Betalningen gick inte igenom, { $customer }.
    .intro = Beställning { $number } är inte betald än.
order-invoiced =
    .subject = Faktura { $invoice_number } för beställning { $number }
    .headline = Din faktura, { $customer }.
    .intro = Här är faktura { $invoice_number } från { $invoice_on } för beställning { $number }.
    .action = Ladda ner fakturan
order-noted =
    .subject = Nytt om din beställning { $number }
    .headline = Nytt om din beställning, { $customer }.
    .intro = Det finns nyheter om beställning { $number }.
order =
    .subject = Nytt om din beställning { $number }
    .headline = Nytt om din beställning, { $customer }.
    .intro = Beställning { $number } är nu: { $status }.

account-verify-email =
    .subject = Bekräfta din e-postadress hos { $shop }
    .headline = Är det här din e-postadress, { $customer }?
    .intro = Bekräfta att { $email } är din. Om du inte har bett om detta kan du bortse från mejlet.
    .action = Bekräfta e-postadressen
account-reset-password =
    .subject = Välj ett nytt lösenord hos { $shop }
    .headline = Ett nytt lösenord, { $customer }?
    .intro = Någon har begärt ett nytt lösenord för ditt konto. Om det inte var du kan du bortse från mejlet: ditt lösenord ändras inte.
    .action = Välj lösenord
account-password-changed =
    .subject = Ditt lösenord hos { $shop } har ändrats
    .headline = Ditt lösenord har ändrats, { $customer }.
    .intro = Om det inte var du som ändrade det, skriv till oss genast: { $support_email }.
account-email-changed =
    .subject = Din e-postadress hos { $shop } har ändrats
    .headline = Din e-postadress har ändrats, { $customer }.
    .intro = Mejl om ditt konto och dina beställningar går nu till { $email }. Om det inte var du som ändrade den, skriv till oss genast: { $support_email }.
account-new-log-in =
    .subject = Ny inloggning hos { $shop }
    .headline = Var det du, { $customer }?
    .intro = Någon har loggat in på ditt konto från en ny plats. Om det var du är allt som det ska. Om inte, välj genast ett annat lösenord.
account-closed =
    .subject = Ditt konto hos { $shop } är avslutat
    .headline = Hej då, { $customer }.
    .intro = Ditt konto är avslutat och din e-postadress och ditt namn är raderade. Det här är vårt sista mejl. Om det inte var du, skriv till oss: { $support_email }.
account =
    .subject = Nytt om ditt konto hos { $shop }
    .headline = Nytt om ditt konto, { $customer }.
    .intro = Det finns nyheter om ditt konto hos { $shop }.

product-back-in-stock =
    .subject = { $product } finns i lager igen
    .headline = Nu finns den igen, { $customer }!
    .intro = Du bad oss skriva när { $product } finns i lager igen. Nu gör den det, för { $price }.
    .action = Se den i butiken
product =
    .subject = Nytt om { $product }
    .headline = Nytt om { $product }, { $customer }.
    .intro = Det finns nyheter om { $product }.
    .action = Se den i butiken

other =
    .subject = Nytt från { $shop }
    .headline = Nytt från { $shop }, { $customer }.
    .intro = Det finns nyheter för dig hos { $shop }.

status_pending = mottagen
status_partly_shipped = delvis skickad
status_shipped = skickad
status_delivered = levererad
status_cancelled = annullerad

subtotal = Delsumma
discount = Rabatt
tax = Skatt
tax_included = Ingår: { $tax }
shipping = Frakt
total = Summa
due = Kvar att betala
refunded = Återbetalat
payment = Betalning
pay = Betala nu
ship_to = Leveransadress
bill_to = Fakturaadress
parcel = Paket
track = Spåra paketet
invoice = Faktura
our_vat_id = Vårt momsnummer
your_vat_id = Ditt momsnummer
gift_message = Din hälsning
merged =
    { $count ->
        [one] Ännu en ändring sedan vårt senaste mejl
       *[other] Ännu { $count } ändringar sedan vårt senaste mejl
    }
more_lines =
    { $count ->
        [one] och en vara till
       *[other] och { $count } varor till
    }
when = När
from_where = Från
until = Länken gäller till { $date }.
continue = Fortsätt
open_order = Se beställningen
questions = Frågor? Skriv till oss:
preferences = E-postinställningar
unsubscribe = Avregistrera
