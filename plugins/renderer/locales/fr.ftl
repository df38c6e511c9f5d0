order-placed =
    .subject = Votre commande { $number } chez { $shop }
    .preheader =
        { $items ->
            [one] Un article, { $total }.
           *[other] { $items } articles, { $total }.
        } Nous vous écrirons dès son expédition.
    .headline = Merci pour votre commande, { $customer } !
    .intro = Nous avons bien reçu la commande { $number } du { $placed_on } et nous la préparons. Nous vous écrirons dès son expédition.
order-partly-shipped =
    .subject = Une partie de la commande { $number } est en route
    .headline = Une partie est en route, { $customer } !
    .intro =
        { $shipped ->
            [one] Sur { $items } articles de la commande { $number }, { $shipped } a quitté notre entrepôt.
           *[other] Sur { $items } articles de la commande { $number }, { $shipped } ont quitté notre entrepôt.
        } Le reste suivra.
order-shipped =
    .subject = La commande { $number } est en route
    .headline = Votre commande est en route, { $customer } !
    .intro = La commande { $number } a quitté notre entrepôt.
order-delivered =
    .subject = La commande { $number } est arrivée
    .headline = Votre commande est arrivée, { $customer }.
    .intro = La commande { $number } a été livrée. Nous espérons qu’elle vous plaira ; en cas de problème, répondez simplement à ce message.
order-cancelled =
    .subject = La commande { $number } est annulée
    .headline = Votre commande est annulée, { $customer }.
    .intro = La commande { $number } du { $placed_on } ne sera pas expédiée. Ce qui a déjà été payé vous est remboursé.
order-refunded =
    .subject = Remboursement pour la commande { $number }
    .headline = Nous vous remboursons, { $customer }.
    .intro = Pour la commande { $number }, nous vous remboursons { $refund }.
order-payment-received =
    .subject = Nous avons reçu votre paiement pour la commande { $number }
    .headline = Merci de votre paiement, { $customer }.
    .intro = Votre paiement pour la commande { $number } nous est bien parvenu.
order-payment-failed =
    .subject = Le paiement de la commande { $number } a échoué
    .headline = Le paiement n’a pas abouti, { $customer }.
    .intro = La commande { $number } n’est pas encore payée.
order-invoiced =
    .subject = Facture { $invoice_number } pour la commande { $number }
    .headline = Votre facture, { $customer }.
    .intro = Voici la facture { $invoice_number } du { $invoice_on } pour la commande { $number }.
    .action = Télécharger la facture
order-noted =
    .subject = Des nouvelles de votre commande { $number }
    .headline = Des nouvelles de votre commande, { $customer }.
    .intro = Il y a du nouveau pour la commande { $number }.
order =
    .subject = Des nouvelles de votre commande { $number }
    .headline = Des nouvelles de votre commande, { $customer }.
    .intro = État de la commande { $number } : { $status }.

account-verify-email =
    .subject = Veuillez confirmer votre adresse e-mail chez { $shop }
    .headline = Est-ce bien votre adresse e-mail, { $customer } ?
    .intro = Veuillez confirmer que l’adresse { $email } est la vôtre. Si vous n’avez rien demandé, ignorez ce message.
    .action = Confirmer l’adresse e-mail
account-reset-password =
    .subject = Choisissez un nouveau mot de passe chez { $shop }
    .headline = Un nouveau mot de passe, { $customer } ?
    .intro = Un nouveau mot de passe a été demandé pour votre compte. Si ce n’était pas vous, ignorez ce message : votre mot de passe reste inchangé.
    .action = Choisir un mot de passe
account-password-changed =
    .subject = Votre mot de passe chez { $shop } a été modifié
    .headline = Votre mot de passe a été modifié, { $customer }.
    .intro = Si ce n’était pas vous, écrivez-nous sans attendre : { $support_email }.
account-email-changed =
    .subject = Votre adresse e-mail chez { $shop } a été modifiée
    .headline = Votre adresse e-mail a été modifiée, { $customer }.
    .intro = Les messages concernant votre compte et vos commandes sont désormais envoyés à { $email }. Si ce n’était pas vous, écrivez-nous sans attendre : { $support_email }.
account-new-log-in =
    .subject = Nouvelle connexion chez { $shop }
    .headline = Était-ce vous, { $customer } ?
    .intro = Quelqu’un s’est connecté à votre compte depuis un endroit inhabituel. Si c’était vous, tout va bien. Sinon, changez tout de suite de mot de passe.
account-closed =
    .subject = Votre compte chez { $shop } est fermé
    .headline = Au revoir, { $customer }.
    .intro = Votre compte est fermé ; votre adresse e-mail et votre nom sont supprimés. Ceci est notre dernier message. Si ce n’était pas vous, écrivez-nous : { $support_email }.
account =
    .subject = Des nouvelles de votre compte chez { $shop }
    .headline = Des nouvelles de votre compte, { $customer }.
    .intro = Il y a du nouveau pour votre compte chez { $shop }.

product-back-in-stock =
    .subject = De nouveau disponible : { $product }
    .headline = De nouveau disponible, { $customer } !
    .intro = Vous souhaitiez savoir quand { $product } serait de nouveau disponible. C’est le cas, pour { $price }.
    .action = Voir dans la boutique
product =
    .subject = Du nouveau concernant { $product }
    .headline = Du nouveau concernant { $product }, { $customer }.
    .intro = Il y a du nouveau pour { $product }.
    .action = Voir dans la boutique

other =
    .subject = Des nouvelles de { $shop }
    .headline = Des nouvelles de { $shop }, { $customer }.
    .intro = { $shop } a des nouvelles pour vous.

status_pending = enregistrée
status_partly_shipped = expédiée en partie
status_shipped = expédiée
status_delivered = livrée
status_cancelled = annulée

subtotal = Sous-total
discount = Remise
tax = Taxes
tax_included = Inclus : { $tax }
shipping = Livraison
total = Total
due = Reste à payer
refunded = Remboursé
payment = Paiement
pay = Payer maintenant
ship_to = Livraison à
bill_to = Facturation à
parcel = Colis
track = Suivre le colis
invoice = Facture
our_vat_id = Notre n° de TVA
your_vat_id = Votre n° de TVA
gift_message = Votre message cadeau
merged =
    { $count ->
        [one] Un autre changement depuis notre dernier message
       *[other] { $count } autres changements depuis notre dernier message
    }
more_lines =
    { $count ->
        [one] et un autre article
       *[other] et { $count } autres articles
    }
when = Quand
from_where = Depuis
until = Le lien est valable jusqu’au { $date }.
continue = Continuer
open_order = Voir la commande
questions = Des questions ? Écrivez-nous :
preferences = Préférences e-mail
unsubscribe = Se désabonner
