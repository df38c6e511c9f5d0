// Package export_ecomm_notification_plugin says what the component is, and takes its config.
package export_ecomm_notification_plugin

import (
	"encoding/json"
	"runtime/debug"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	types "wit_component/ecomm_notification_types"
)

// Config is what the operator may change.
var Config = map[string]string{"greeting": "Hello"}

const schema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {"greeting": {"description": "The first word of a mail.", "type": "string", "minLength": 1}}
}`

// An instance serves one call, so garbage need not be collected; and while arguments are passed, the collector must not read
// its clock.
func init() { debug.SetGCPercent(-1) }

// Describe says what the component is.
func Describe() types.Manifest {
	return types.Manifest{
		Name:         "my-plugin",
		Version:      "0.1.0",
		Description:  "Plain text, in English.",
		Locales:      []string{"en"},
		ConfigSchema: schema,
	}
}

func refuse(pointer, message string) witTypes.Result[witTypes.Unit, types.ConfigError] {
	return witTypes.Err[witTypes.Unit, types.ConfigError](types.ConfigError{Pointer: pointer, Message: message})
}

// Configure takes the operator's config.
func Configure(text string) witTypes.Result[witTypes.Unit, types.ConfigError] {
	given := map[string]string{}
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return refuse("", err.Error())
	}
	for key, value := range given {
		if _, known := Config[key]; !known {
			return refuse("/"+key, "no such key")
		}
		Config[key] = value
	}
	return witTypes.Ok[witTypes.Unit, types.ConfigError](witTypes.Unit{})
}
