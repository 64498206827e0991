package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postern-audit/postern/internal/show"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func retentionFlags(cmd *cobra.Command, r *posternv1.Retention) {
	f := cmd.Flags()
	f.Int32Var(&r.SignInDays, "retention-sign-in", 0, "days for which sign-ins are kept, 1 to 3650; 0: 180")
	f.Int32Var(&r.AdministrationDays, "retention-administration", 0, "days for which changes and refused calls are kept, 1 to 3650; 0: 180")
	f.Int32Var(&r.ActivityDays, "retention-activity", 0, "days for which uses of tokens are kept, 1 to 3650; 0: 180")
	f.BoolVar(&r.Hold, "hold", false, "legal hold: keep everything that is still there; --hold=false lifts it")
	f.StringVar(&r.HoldReason, "hold-reason", "", "why it is held; it is shown with the settings, and goes with the hold")
}

// inherited is what a site says that leaves something to its organization.
const inherited = "inherited"

func privacyFlags(cmd *cobra.Command, p *posternv1.Privacy) {
	f := cmd.Flags()
	f.Var(&choiceFlag{prefix: "EMAIL", values: posternv1.Privacy_Email_value, set: func(v int32) { p.Email = posternv1.Privacy_Email(v) }},
		"privacy-email", "what the record keeps of e-mail addresses: full, pseudonym, omitted or inherited")
	f.Var(&choiceFlag{prefix: "IP", values: posternv1.Privacy_Ip_value, set: func(v int32) { p.Ip = posternv1.Privacy_Ip(v) }},
		"privacy-ip", "what it keeps of network addresses: full, truncated, omitted or inherited")
	f.Var(&choiceFlag{prefix: "USER_CONTENT", values: posternv1.Privacy_UserContent_value, set: func(v int32) { p.UserContent = posternv1.Privacy_UserContent(v) }},
		"privacy-user-content", "what it keeps of what people and their programs write: kept, omitted or inherited")
}

// privacyFields are the fields that privacyFlags set.
func privacyFields() map[string]string {
	return map[string]string{"privacy-email": "privacy.email", "privacy-ip": "privacy.ip", "privacy-user-content": "privacy.user_content"}
}

// choiceFlag is a flag that takes one of the names of an enum, in any case, or inherited.
type choiceFlag struct {
	prefix string
	values map[string]int32
	set    func(int32)
	text   string
}

// String implements pflag.Value.
func (c *choiceFlag) String() string { return c.text }

// Type implements pflag.Value.
func (c *choiceFlag) Type() string { return "string" }

// Set implements pflag.Value.
func (c *choiceFlag) Set(s string) error {
	v, known := c.values[c.prefix+"_"+strings.ToUpper(s)]
	if c.text = strings.ToLower(s); c.text == inherited {
		v, known = 0, true
	} else if v == 0 {
		known = false
	}
	if !known {
		names := make([]string, len(c.values))
		for name, n := range c.values {
			names[n] = strings.ToLower(strings.TrimPrefix(name, c.prefix+"_"))
		}
		return fmt.Errorf("must be one of %s, %s", strings.Join(names[1:], ", "), inherited)
	}
	c.set(v)
	return nil
}

// retentionWords says in a line for how long a record is kept.
func retentionWords(r *posternv1.Retention) string {
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("sign-ins %d days, administration %d days, activity %d days", r.GetSignInDays(), r.GetAdministrationDays(), r.GetActivityDays())
	if r.GetHold() {
		text += "; ON HOLD"
		if why := r.GetHoldReason(); why != "" {
			text += " (" + why + ")"
		}
	}
	return text
}

// privacyWords says in a line what a record keeps of people; "" when nothing is said.
func privacyWords(p *posternv1.Privacy) string {
	var parts []string
	add := func(what, how string) {
		if how != "" {
			parts = append(parts, what+" "+strings.ToLower(how))
		}
	}
	add("e-mail", show.Enum("EMAIL", p.GetEmail()))
	add("ip", show.Enum("IP", p.GetIp()))
	add("user content", show.Enum("USER_CONTENT", p.GetUserContent()))
	return strings.Join(parts, ", ")
}
