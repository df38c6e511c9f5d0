// Package export_ecomm_notification_renderer is a renderer in Go: plain text, in English.
package export_ecomm_notification_renderer

import (
	"fmt"
	"strings"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	renderer "wit_component/ecomm_notification_renderer"
	types "wit_component/ecomm_notification_types"
	plugin "wit_component/export_ecomm_notification_plugin"
)

// amount is 19.99 USD: minor units, with as many decimals as the currency has.
func amount(money types.Money) string {
	digits, sign := fmt.Sprint(money.Amount), ""
	if money.Amount < 0 {
		digits, sign = digits[1:], "-"
	}
	exponent := int(money.Exponent)
	for len(digits) <= exponent {
		digits = "0" + digits
	}
	whole, part := digits[:len(digits)-exponent], digits[len(digits)-exponent:]
	if exponent > 0 {
		part = "." + part
	}
	return fmt.Sprintf("%s%s%s %s", sign, whole, part, money.Currency)
}

func word(status types.OrderStatus) string {
	switch status.Tag() {
	case types.OrderStatusPending:
		return "pending"
	case types.OrderStatusPartlyShipped:
		return "partly shipped"
	case types.OrderStatusShipped:
		return "shipped"
	case types.OrderStatusDelivered:
		return "delivered"
	case types.OrderStatusCancelled:
		return "cancelled"
	default:
		return status.Other()
	}
}

// told is the subject and the middle of the mail.
func told(order types.Order) (string, string) {
	var text strings.Builder
	for _, line := range order.Lines {
		fmt.Fprintf(&text, "\n%d x %s: %s", line.Quantity, line.Name, amount(line.Total))
	}
	fmt.Fprintf(&text, "\n\nTotal: %s", amount(order.Total))
	return fmt.Sprintf("Order %s: %s", order.Number, word(order.Status)), text.String()
}

// Render renders one mail.
func Render(n types.Notification, _ renderer.Request) witTypes.Result[types.Email, string] {
	subject, middle := fmt.Sprintf("News from %s", n.Shop.Name), "\n"+n.Kind
	if n.Subject.Tag() == types.SubjectOrder {
		subject, middle = told(n.Subject.Order())
	}
	return witTypes.Ok[types.Email, string](types.Email{
		Subject:  subject,
		Text:     fmt.Sprintf("%s %s,\n%s\n\n%s\n", plugin.Config["greeting"], n.Customer.Name, middle, n.Shop.Name),
		Html:     witTypes.None[string](),
		FromName: witTypes.None[string](),
		ReplyTo:  witTypes.None[string](),
	})
}
