order-placed =
    .subject = Zamówienie { $number } w { $shop }
    .preheader =
        { $items ->
            [one] { $items } sztuka, { $total }.
            [few] { $items } sztuki, { $total }.
            [many] { $items } sztuk, { $total }.
           *[other] { $items } sztuki, { $total }.
        } Napiszemy ponownie po wysłaniu.
    .headline = Dziękujemy za zamówienie, { $customer }!
    .intro = Otrzymaliśmy zamówienie { $number } z { $placed_on } i przygotowujemy je. Napiszemy ponownie, gdy będzie w drodze.
order-partly-shipped =
    .subject = Część zamówienia { $number } jest w drodze
    .headline = Część jest w drodze, { $customer }!
    .intro =
        { $shipped ->
            [one] Nasz magazyn opuściła { $shipped } z { $items } sztuk zamówienia { $number }.
            [few] Nasz magazyn opuściły { $shipped } z { $items } sztuk zamówienia { $number }.
            [many] Nasz magazyn opuściło { $shipped } z { $items } sztuk zamówienia { $number }.
           *[other] Nasz magazyn opuściło { $shipped } z { $items } sztuk zamówienia { $number }.
        } Reszta zostanie wysłana później.
order-shipped =
    .subject = Zamówienie { $number } jest w drodze
    .headline = Zamówienie jest w drodze, { $customer }!
    .intro = Zamówienie { $number } opuściło nasz magazyn.
order-delivered =
    .subject = Zamówienie { $number } dotarło
    .headline = Zamówienie dotarło, { $customer }.
    .intro = Zamówienie { $number } zostało doręczone. Mamy nadzieję, że się spodoba; jeśli coś się nie zgadza, odpowiedz na tę wiadomość.
order-cancelled =
    .subject = Zamówienie { $number } zostało anulowane
    .headline = Zamówienie zostało anulowane, { $customer }.
    .intro = Zamówienie { $number } z { $placed_on } nie zostanie wysłane. Zwrócimy wszystko, co już zapłacono.
order-refunded =
    .subject = Zwrot pieniędzy za zamówienie { $number }
    .headline = Zwracamy pieniądze, { $customer }.
    .intro = Za zamówienie { $number } zwracamy { $refund }.
order-payment-received =
    .subject = Otrzymaliśmy płatność za zamówienie { $number }
    .headline = Dziękujemy za płatność, { $customer }.
    .intro = Otrzymaliśmy płatność za zamówienie { $number }.
order-payment-failed =
    .subject = Płatność za zamówienie { $number } nie powiodła się
    .headline = Płatność się nie powiodła, { $customer }.
    .intro = Zamówienie { $number } czeka na płatność.
order-invoiced =
    .subject = Faktura { $invoice_number } do zamówienia { $number }
    .headline = Faktura, { $customer }.
    .intro = Oto faktura { $invoice_number } z { $invoice_on } do zamówienia { $number }.
    .action = Pobierz fakturę
order-noted =
    .subject = Nowe informacje o zamówieniu { $number }
    .headline = Nowe informacje o zamówieniu, { $customer }.
    .intro = Mamy nowe informacje o zamówieniu { $number }.
order =
    .subject = Nowe informacje o zamówieniu { $number }
    .headline = Nowe informacje o zamówieniu, { $customer }.
    .intro = Stan zamówienia { $number }: { $status }.

account-verify-email =
    .subject = Potwierdź adres e-mail w { $shop }
    .headline = Czy to Twój adres e-mail, { $customer }?
    .intro = Potwierdź, że adres { $email } należy do Ciebie. Jeśli to nie Twoja prośba, zignoruj tę wiadomość.
    .action = Potwierdź adres e-mail
account-reset-password =
    .subject = Nowe hasło w { $shop }
    .headline = Nowe hasło, { $customer }?
    .intro = Ktoś poprosił o nowe hasło do Twojego konta. Jeśli to nie Ty, zignoruj tę wiadomość: hasło się nie zmieni.
    .action = Wybierz hasło
account-password-changed =
    .subject = Hasło w { $shop } zostało zmienione
    .headline = Hasło zostało zmienione, { $customer }.
    .intro = Jeśli to nie Ty, napisz do nas od razu: { $support_email }.
account-email-changed =
    .subject = Adres e-mail w { $shop } został zmieniony
    .headline = Adres e-mail został zmieniony, { $customer }.
    .intro = Wiadomości o koncie i zamówieniach wysyłamy teraz na { $email }. Jeśli to nie Ty, napisz do nas od razu: { $support_email }.
account-new-log-in =
    .subject = Nowe logowanie w { $shop }
    .headline = Czy to Ty, { $customer }?
    .intro = Ktoś zalogował się na Twoje konto z nieznanego nam miejsca. Jeśli to Ty, wszystko w porządku. Jeśli nie, od razu wybierz inne hasło.
account-closed =
    .subject = Konto w { $shop } zostało zamknięte
    .headline = Do widzenia, { $customer }.
    .intro = Konto zostało zamknięte, a adres e-mail i imię usunięte. To nasza ostatnia wiadomość. Jeśli to nie Ty, napisz do nas: { $support_email }.
account =
    .subject = Nowe informacje o koncie w { $shop }
    .headline = Nowe informacje o koncie, { $customer }.
    .intro = Mamy nowe informacje o Twoim koncie w { $shop }.

product-back-in-stock =
    .subject = Znów dostępne: { $product }
    .headline = Znów dostępne, { $customer }!
    .intro = Mieliśmy napisać, gdy { $product } znów będzie w sprzedaży. Już jest, za { $price }.
    .action = Zobacz w sklepie
product =
    .subject = Nowe informacje: { $product }
    .headline = Nowe informacje: { $product }, { $customer }.
    .intro = Mamy nowe informacje: { $product }.
    .action = Zobacz w sklepie

other =
    .subject = Nowe informacje od { $shop }
    .headline = Nowe informacje od { $shop }, { $customer }.
    .intro = { $shop } ma dla Ciebie nowe informacje.

status_pending = przyjęte
status_partly_shipped = częściowo wysłane
status_shipped = wysłane
status_delivered = doręczone
status_cancelled = anulowane

subtotal = Suma częściowa
discount = Rabat
tax = Podatek
tax_included = W cenie: { $tax }
shipping = Wysyłka
total = Razem
due = Pozostało do zapłaty
refunded = Zwrócono
payment = Płatność
pay = Zapłać teraz
ship_to = Adres dostawy
bill_to = Adres rozliczeniowy
parcel = Przesyłka
track = Śledź przesyłkę
invoice = Faktura
our_vat_id = Nasz NIP
your_vat_id = Twój NIP
gift_message = Dedykacja do prezentu
merged =
    { $count ->
        [one] Jeszcze { $count } zmiana od ostatniej wiadomości
        [few] Jeszcze { $count } zmiany od ostatniej wiadomości
        [many] Jeszcze { $count } zmian od ostatniej wiadomości
       *[other] Jeszcze { $count } zmiany od ostatniej wiadomości
    }
more_lines =
    { $count ->
        [one] i jeszcze { $count } produkt
        [few] i jeszcze { $count } produkty
        [many] i jeszcze { $count } produktów
       *[other] i jeszcze { $count } produktu
    }
when = Kiedy
from_where = Skąd
until = Link działa do { $date }.
continue = Dalej
open_order = Zobacz zamówienie
questions = Pytania? Napisz do nas:
preferences = Preferencje e-mail
unsubscribe = Wypisz się
