// Package export_ecomm_notification_renderer is a renderer in Go: plain text, in English.
package export_ecomm_notification_renderer

import (
	"encoding/json"
	"fmt"
	"strings"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	types "wit_component/ecomm_notification_types"
)

var config = map[string]string{"greeting": "Hello"}

// Configure takes the operator's config.
func Configure(text string) witTypes.Result[witTypes.Unit, string] {
	given := map[string]string{}
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return witTypes.Err[witTypes.Unit, string](err.Error())
	}
	for key, value := range given {
		if _, known := config[key]; !known {
			return witTypes.Err[witTypes.Unit, string](key + ": no such key")
		}
		config[key] = value
	}
	return witTypes.Ok[witTypes.Unit, string](witTypes.Unit{})
}

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

// Render renders one mail.
func Render(n types.Notification) witTypes.Result[types.Email, string] {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s,\n", config["greeting"], n.Customer.Name)
	for _, line := range n.Order.Lines {
		fmt.Fprintf(&text, "\n%d x %s: %s", line.Quantity, line.Name, amount(line.Total))
	}
	fmt.Fprintf(&text, "\n\nTotal: %s\n\n%s\n", amount(n.Order.Total), n.Shop.Name)
	return witTypes.Ok[types.Email, string](types.Email{
		Subject:  fmt.Sprintf("Order %s: %s", n.Order.Number, word(n.Order.Status)),
		Text:     text.String(),
		Html:     witTypes.None[string](),
		FromName: witTypes.None[string](),
		ReplyTo:  witTypes.None[string](),
	})
}
