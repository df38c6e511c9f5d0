order-placed =
    .subject = A sua encomenda { $number } em { $shop }
    .preheader =
        { $items ->
            [one] Um artigo, { $total }.
           *[other] { $items } artigos, { $total }.
        } Voltamos a escrever quando estiver a caminho.
    .headline = Obrigado pela sua encomenda, { $customer }!
    .intro = Recebemos a encomenda { $number } de { $placed_on } e estamos a prepará-la. Voltamos a escrever quando estiver a caminho.
order-partly-shipped =
    .subject = Uma parte da encomenda { $number } está a caminho
    .headline = Uma parte está a caminho, { $customer }!
    .intro =
        { $shipped ->
            [one] Dos { $items } artigos da encomenda { $number }, { $shipped } saiu do nosso armazém.
           *[other] Dos { $items } artigos da encomenda { $number }, { $shipped } saíram do nosso armazém.
        } O resto segue depois.
order-shipped =
    .subject = A encomenda { $number } está a caminho
    .headline = A sua encomenda está a caminho, { $customer }!
    .intro = A encomenda { $number } saiu do nosso armazém.
order-delivered =
    .subject = A encomenda { $number } chegou
    .headline = A sua encomenda chegou, { $customer }.
    .intro = A encomenda { $number } foi entregue. Esperamos que goste; se algo não estiver bem, responda a esta mensagem.
order-cancelled =
    .subject = A encomenda { $number } foi cancelada
    .headline = A sua encomenda foi cancelada, { $customer }.
    .intro = A encomenda { $number } de { $placed_on } não será enviada. O que já foi pago ser-lhe-á devolvido.
order-refunded =
    .subject = Reembolso da encomenda { $number }
    .headline = Devolvemos o seu dinheiro, { $customer }.
    .intro = Pela encomenda { $number } devolvemos-lhe { $refund }.
order-payment-received =
    .subject = Recebemos o pagamento da encomenda { $number }
    .headline = Obrigado pelo pagamento, { $customer }.
    .intro = Recebemos o seu pagamento da encomenda { $number }.
order-payment-failed =
    .subject = O pagamento da encomenda { $number } falhou
    .headline = O pagamento não foi concluído, { $customer }.
    .intro = A encomenda { $number } ainda não está paga.
order-invoiced =
    .subject = Fatura { $invoice_number } da encomenda { $number }
    .headline = A sua fatura, { $customer }.
    .intro = Aqui está a fatura { $invoice_number } de { $invoice_on } da encomenda { $number }.
    .action = Descarregar a fatura
order-noted =
    .subject = Novidades da sua encomenda { $number }
    .headline = Novidades da sua encomenda, { $customer }.
    .intro = Há novidades da encomenda { $number }.
order =
    .subject = Novidades da sua encomenda { $number }
    .headline = Novidades da sua encomenda, { $customer }.
    .intro = Estado da encomenda { $number }: { $status }.

account-verify-email =
    .subject = Confirme o seu endereço de e-mail em { $shop }
    .headline = Este é o seu endereço de e-mail, { $customer }?
    .intro = Confirme que { $email } lhe pertence. Se não pediu isto, ignore esta mensagem.
    .action = Confirmar o e-mail
account-reset-password =
    .subject = Escolha uma nova palavra-passe em { $shop }
    .headline = Uma nova palavra-passe, { $customer }?
    .intro = Alguém pediu uma nova palavra-passe para a sua conta. Se não foi você, ignore esta mensagem: a sua palavra-passe não muda.
    .action = Escolher palavra-passe
account-password-changed =
    .subject = A sua palavra-passe em { $shop } foi alterada
    .headline = A sua palavra-passe foi alterada, { $customer }.
    .intro = Se não foi você, escreva-nos de imediato: { $support_email }.
account-email-changed =
    .subject = O seu endereço de e-mail em { $shop } foi alterado
    .headline = O seu endereço de e-mail foi alterado, { $customer }.
    .intro = As mensagens sobre a sua conta e as suas encomendas vão agora para { $email }. Se não foi você, escreva-nos de imediato: { $support_email }.
account-new-log-in =
    .subject = Novo início de sessão em { $shop }
    .headline = Foi você, { $customer }?
    .intro = Alguém iniciou sessão na sua conta a partir de um local invulgar. Se foi você, está tudo bem. Se não, escolha já outra palavra-passe.
account-closed =
    .subject = A sua conta em { $shop } foi encerrada
    .headline = Até sempre, { $customer }.
    .intro = A sua conta foi encerrada e o seu endereço de e-mail e nome foram apagados. Esta é a nossa última mensagem. Se não foi você, escreva-nos: { $support_email }.
account =
    .subject = Novidades da sua conta em { $shop }
    .headline = Novidades da sua conta, { $customer }.
    .intro = Há novidades da sua conta em { $shop }.

product-back-in-stock =
    .subject = De novo disponível: { $product }
    .headline = De novo disponível, { $customer }!
    .intro = Pediu-nos que avisássemos quando { $product } voltasse a estar disponível. Já está, por { $price }.
    .action = Ver na loja
product =
    .subject = Novidades de { $product }
    .headline = Novidades de { $product }, { $customer }.
    .intro = Há novidades de { $product }.
    .action = Ver na loja

other =
    .subject = Novidades de { $shop }
    .headline = Novidades de { $shop }, { $customer }.
    .intro = Há novidades para si em { $shop }.

status_pending = recebida
status_partly_shipped = enviada em parte
status_shipped = enviada
status_delivered = entregue
status_cancelled = cancelada

subtotal = Subtotal
discount = Desconto
tax = Impostos
tax_included = Incluído: { $tax }
shipping = Envio
total = Total
due = Por pagar
refunded = Reembolsado
payment = Pagamento
pay = Pagar agora
ship_to = Enviar para
bill_to = Faturar a
parcel = Envio
track = Seguir o envio
invoice = Fatura
our_vat_id = O nosso NIF
your_vat_id = O seu NIF
gift_message = A sua mensagem de oferta
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
until = A ligação é válida até { $date }.
continue = Continuar
open_order = Ver a encomenda
questions = Dúvidas? Escreva-nos:
preferences = Preferências de e-mail
unsubscribe = Cancelar a subscrição
