order-placed =
    .subject = Seu pedido { $number } na loja { $shop }
    .preheader =
        { $items ->
            [one] Um item, { $total }.
           *[other] { $items } itens, { $total }.
        } Avisaremos quando estiver a caminho.
    .headline = Obrigado pelo seu pedido, { $customer }!
    .intro = Recebemos o pedido { $number } de { $placed_on } e o estamos preparando. Avisaremos quando estiver a caminho.
order-partly-shipped =
    .subject = Uma parte do pedido { $number } está a caminho
    .headline = Uma parte está a caminho, { $customer }!
    .intro =
        { $shipped ->
            [one] Dos { $items } itens do pedido { $number }, { $shipped } saiu do nosso estoque.
           *[other] Dos { $items } itens do pedido { $number }, { $shipped } saíram do nosso estoque.
        } O restante será enviado depois.
order-shipped =
    .subject = O pedido { $number } está a caminho
    .headline = Seu pedido está a caminho, { $customer }!
    .intro = O pedido { $number } saiu do nosso estoque.
order-delivered =
    .subject = O pedido { $number } chegou
    .headline = Seu pedido chegou, { $customer }.
    .intro = O pedido { $number } foi entregue. Esperamos que goste; se algo não estiver bem, responda a esta mensagem.
order-cancelled =
    .subject = O pedido { $number } foi cancelado
    .headline = Seu pedido foi cancelado, { $customer }.
    .intro = O pedido { $number } de { $placed_on } não será enviado. O valor já pago será devolvido.
order-refunded =
    .subject = Reembolso do pedido { $number }
    .headline = Estamos devolvendo o seu dinheiro, { $customer }.
    .intro = Pelo pedido { $number }, estamos devolvendo { $refund }.
order-payment-received =
    .subject = Recebemos o pagamento do pedido { $number }
    .headline = Obrigado pelo pagamento, { $customer }.
    .intro = Recebemos o seu pagamento do pedido { $number }.
order-payment-failed =
    .subject = O pagamento do pedido { $number } falhou
    .headline = O pagamento não foi concluído, { $customer }.
    .intro = O pedido { $number } ainda não foi pago.
order-invoiced =
    .subject = Nota fiscal { $invoice_number } do pedido { $number }
    .headline = Sua nota fiscal, { $customer }.
    .intro = Aqui está a nota fiscal { $invoice_number } de { $invoice_on } do pedido { $number }.
    .action = Baixar a nota fiscal
order-noted =
    .subject = Novidades do seu pedido { $number }
    .headline = Novidades do seu pedido, { $customer }.
    .intro = Há novidades do pedido { $number }.
order =
    .subject = Novidades do seu pedido { $number }
    .headline = Novidades do seu pedido, { $customer }.
    .intro = Estado do pedido { $number }: { $status }.

account-verify-email =
    .subject = Confirme seu endereço de e-mail em { $shop }
    .headline = Este é seu endereço de e-mail, { $customer }?
    .intro = Confirme que { $email } pertence a você. Se não pediu isso, ignore esta mensagem.
    .action = Confirmar o e-mail
account-reset-password =
    .subject = Escolha uma nova senha em { $shop }
    .headline = Uma nova senha, { $customer }?
    .intro = Alguém pediu uma nova senha para sua conta. Se não foi você, ignore esta mensagem: sua senha não muda.
    .action = Escolher senha
account-password-changed =
    .subject = Sua senha em { $shop } foi alterada
    .headline = Sua senha foi alterada, { $customer }.
    .intro = Se não foi você, escreva para nós imediatamente: { $support_email }.
account-email-changed =
    .subject = Seu endereço de e-mail em { $shop } foi alterado
    .headline = Seu endereço de e-mail foi alterado, { $customer }.
    .intro = As mensagens sobre sua conta e seus pedidos agora serão enviadas para { $email }. Se não foi você, escreva para nós imediatamente: { $support_email }.
account-new-log-in =
    .subject = Novo acesso em { $shop }
    .headline = Foi você, { $customer }?
    .intro = Alguém entrou na sua conta de um local incomum. Se foi você, está tudo bem. Se não foi, escolha outra senha.
account-closed =
    .subject = Sua conta em { $shop } foi encerrada
    .headline = Até logo, { $customer }.
    .intro = Sua conta foi encerrada, e seu endereço de e-mail e nome foram apagados. Esta é a nossa última mensagem. Se não foi você, escreva para nós: { $support_email }.
account =
    .subject = Novidades da sua conta em { $shop }
    .headline = Novidades da sua conta, { $customer }.
    .intro = Há novidades da sua conta em { $shop }.

product-back-in-stock =
    .subject = Disponível novamente: { $product }
    .headline = Disponível novamente, { $customer }!
    .intro = Você pediu que avisássemos quando { $product } voltasse a estar disponível. Já está, por { $price }.
    .action = Ver na loja
product =
    .subject = Novidades de { $product }
    .headline = Novidades de { $product }, { $customer }.
    .intro = Há novidades de { $product }.
    .action = Ver na loja

other =
    .subject = Novidades de { $shop }
    .headline = Novidades de { $shop }, { $customer }.
    .intro = Há novidades para você em { $shop }.

status_pending = recebido
status_partly_shipped = enviado em parte
status_shipped = enviado
status_delivered = entregue
status_cancelled = cancelado

subtotal = Subtotal
discount = Desconto
tax = Impostos
tax_included = Incluído: { $tax }
shipping = Frete
total = Total
due = A pagar
refunded = Reembolsado
payment = Pagamento
pay = Pagar agora
ship_to = Entrega
bill_to = Cobrança
parcel = Pacote
track = Rastrear o pacote
invoice = Nota fiscal
our_vat_id = Nosso CNPJ
your_vat_id = Seu CPF ou CNPJ
gift_message = Sua mensagem de presente
merged =
    { $count ->
        [one] Mais uma alteração desde a nossa última mensagem
       *[other] Mais { $count } alterações desde a nossa última mensagem
    }
more_lines =
    { $count ->
        [one] e mais um produto
       *[other] e mais { $count } produtos
    }
when = Quando
from_where = De
until = O link é válido até { $date }.
continue = Continuar
open_order = Ver o pedido
questions = Dúvidas? Escreva para nós:
preferences = Preferências de e-mail
unsubscribe = Cancelar a inscrição
