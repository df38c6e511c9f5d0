// Package export_ecomm_notification_plugin says what the component is, and takes its config.
package export_ecomm_notification_plugin

import (
	"encoding/json"
	"runtime/debug"

	witTypes "go.bytecodealliance.org/pkg/wit/types"
	types "wit_component/ecomm_notification_types"
)

// Config is what the operator may change.
var Config = struct {
	RetryMs     uint64 `json:"retry_ms"`
	AttemptsMax uint32 `json:"attempts_max"`
}{30_000, 12}

const schema = `{
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "retry_ms": {"description": "After this comes the first retry.", "type": "integer", "minimum": 1000, "maximum": 3600000},
    "attempts_max": {"type": "integer", "minimum": 1, "maximum": 25}
  }
}`

// An instance serves one call, so garbage need not be collected; and while arguments are passed, the collector must not read
// its clock.
func init() { debug.SetGCPercent(-1) }

// Describe says what the component is.
func Describe() types.Manifest {
	return types.Manifest{
		Name:         "my-plugin",
		Version:      "0.1.0",
		Description:  "Retries that come later and later.",
		ConfigSchema: schema,
	}
}

// Configure takes the operator's config, which fits the schema: the host has checked it.
func Configure(text string) witTypes.Result[witTypes.Unit, types.ConfigError] {
	if err := json.Unmarshal([]byte(text), &Config); err != nil {
		return witTypes.Err[witTypes.Unit, types.ConfigError](types.ConfigError{Message: err.Error()})
	}
	return witTypes.Ok[witTypes.Unit, types.ConfigError](witTypes.Unit{})
}
