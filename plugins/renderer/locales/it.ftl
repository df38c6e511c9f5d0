order-placed =
    .subject = Il suo ordine { $number } presso { $shop }
    .preheader =
        { $items ->
            [one] Un articolo, { $total }.
           *[other] { $items } articoli, { $total }.
        } Le scriveremo appena sarà in viaggio.
    .headline = Grazie per il suo ordine, { $customer }!
    .intro = Abbiamo ricevuto l’ordine { $number } del { $placed_on } e lo stiamo preparando. Le scriveremo appena sarà in viaggio.
order-partly-shipped =
    .subject = Una parte dell’ordine { $number } è in viaggio
    .headline = Una parte è in viaggio, { $customer }!
    .intro =
        { $shipped ->
            [one] Dei { $items } articoli dell’ordine { $number }, { $shipped } ha lasciato il nostro magazzino.
           *[other] Dei { $items } articoli dell’ordine { $number }, { $shipped } hanno lasciato il nostro magazzino.
        } Il resto seguirà.
order-shipped =
    .subject = L’ordine { $number } è in viaggio
    .headline = Il suo ordine è in viaggio, { $customer }!
    .intro = L’ordine { $number } ha lasciato il nostro magazzino.
order-delivered =
    .subject = L’ordine { $number } è arrivato
    .headline = Il suo ordine è arrivato, { $customer }.
    .intro = L’ordine { $number } è stato consegnato. Speriamo che le piaccia; se qualcosa non va, risponda a questo messaggio.
order-cancelled =
    .subject = L’ordine { $number } è annullato
    .headline = Il suo ordine è annullato, { $customer }.
    .intro = L’ordine { $number } del { $placed_on } non sarà spedito. Quanto già pagato le viene rimborsato.
order-refunded =
    .subject = Rimborso per l’ordine { $number }
    .headline = La rimborsiamo, { $customer }.
    .intro = Per l’ordine { $number } le rimborsiamo { $refund }.
order-payment-received =
    .subject = Abbiamo ricevuto il pagamento dell’ordine { $number }
    .headline = Grazie per il pagamento, { $customer }.
    .intro = Abbiamo ricevuto il suo pagamento per l’ordine { $number }.
order-payment-failed =
    .subject = Pagamento dell’ordine { $number } non riuscito
    .headline = Il pagamento non è andato a buon fine, { $customer }.
    .intro = L’ordine { $number } non è ancora pagato.
order-invoiced =
    .subject = Fattura { $invoice_number } per l’ordine { $number }
    .headline = La sua fattura, { $customer }.
    .intro = Ecco la fattura { $invoice_number } del { $invoice_on } per l’ordine { $number }.
    .action = Scarica la fattura
order-noted =
    .subject = Novità sul suo ordine { $number }
    .headline = Novità sul suo ordine, { $customer }.
    .intro = Ci sono novità sull’ordine { $number }.
order =
    .subject = Novità sul suo ordine { $number }
    .headline = Novità sul suo ordine, { $customer }.
    .intro = Stato dell’ordine { $number }: { $status }.

account-verify-email =
    .subject = Confermi il suo indirizzo e-mail presso { $shop }
    .headline = È questo il suo indirizzo e-mail, { $customer }?
    .intro = Confermi che { $email } è suo. Se non ha chiesto nulla, ignori questo messaggio.
    .action = Conferma l’indirizzo e-mail
account-reset-password =
    .subject = Scelga una nuova password presso { $shop }
    .headline = Una nuova password, { $customer }?
    .intro = È stata richiesta una nuova password per il suo account. Se non è stato lei, ignori questo messaggio: la sua password resta com’è.
    .action = Scegli una password
account-password-changed =
    .subject = La sua password presso { $shop } è stata cambiata
    .headline = La sua password è stata cambiata, { $customer }.
    .intro = Se non l’ha cambiata lei, ci scriva subito: { $support_email }.
account-email-changed =
    .subject = Il suo indirizzo e-mail presso { $shop } è stato cambiato
    .headline = Il suo indirizzo e-mail è stato cambiato, { $customer }.
    .intro = I messaggi sul suo account e sui suoi ordini vanno ora a { $email }. Se non l’ha cambiato lei, ci scriva subito: { $support_email }.
account-new-log-in =
    .subject = Nuovo accesso presso { $shop }
    .headline = Era lei, { $customer }?
    .intro = Qualcuno ha effettuato l’accesso al suo account da un luogo insolito. Se era lei, va tutto bene. Altrimenti scelga subito un’altra password.
account-closed =
    .subject = Il suo account presso { $shop } è chiuso
    .headline = Arrivederci, { $customer }.
    .intro = Il suo account è chiuso; il suo indirizzo e-mail e il suo nome sono stati cancellati. Questo è il nostro ultimo messaggio. Se non l’ha chiuso lei, ci scriva: { $support_email }.
account =
    .subject = Novità sul suo account presso { $shop }
    .headline = Novità sul suo account, { $customer }.
    .intro = Ci sono novità sul suo account presso { $shop }.

product-back-in-stock =
    .subject = Di nuovo disponibile: { $product }
    .headline = Di nuovo disponibile, { $customer }!
    .intro = Ci ha chiesto di scriverle quando { $product } fosse di nuovo disponibile. Ora lo è, a { $price }.
    .action = Vedi nel negozio
product =
    .subject = Novità su { $product }
    .headline = Novità su { $product }, { $customer }.
    .intro = Ci sono novità su { $product }.
    .action = Vedi nel negozio

other =
    .subject = Novità da { $shop }
    .headline = Novità da { $shop }, { $customer }.
    .intro = Ci sono novità per lei da { $shop }.

status_pending = ricevuto
status_partly_shipped = spedito in parte
status_shipped = spedito
status_delivered = consegnato
status_cancelled = annullato

subtotal = Subtotale
discount = Sconto
tax = Imposte
tax_included = Inclusa: { $tax }
shipping = Spedizione
total = Totale
due = Ancora da pagare
refunded = Rimborsato
payment = Pagamento
pay = Paga ora
ship_to = Spedizione a
bill_to = Fatturazione a
parcel = Pacco
track = Traccia il pacco
invoice = Fattura
our_vat_id = La nostra partita IVA
your_vat_id = La sua partita IVA
gift_message = Il suo messaggio regalo
merged =
    { $count ->
        [one] Un’altra modifica dal nostro ultimo messaggio
       *[other] Altre { $count } modifiche dal nostro ultimo messaggio
    }
more_lines =
    { $count ->
        [one] e un altro prodotto
       *[other] e altri { $count } prodotti
    }
when = Quando
from_where = Da
until = Il link è valido fino al { $date }.
continue = Continua
open_order = Vedi l’ordine
questions = Domande? Ci scriva:
preferences = Preferenze e-mail
unsubscribe = Annulla l’iscrizione
