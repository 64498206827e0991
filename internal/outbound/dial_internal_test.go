package outbound

import "testing"

func TestTheSocketItselfHasTheLastWord(t *testing.T) {
	d := &dialer{Options{}.withDefaults()}
	for address, ok := range map[string]bool{
		"8.8.8.8:443": true, "[2600::1]:443": true,
		"127.0.0.1:443": false, "[::ffff:10.0.0.1]:443": false, "[fe80::1%eth0]:443": false, "169.254.169.254:80": false,
		"somewhere:443": false, "": false,
	} {
		if err := d.control(t.Context(), "tcp", address, nil); (err == nil) != ok {
			t.Errorf("control(%q) = %v", address, err)
		} else if !ok && As(err).Kind != Refused {
			t.Errorf("control(%q) = %v, want Refused", address, err)
		}
	}
}

// The environment is read once in a process, so that a request cannot show whether it was looked at.
func TestNoProxyOfTheEnvironmentIsAskedFor(t *testing.T) {
	c := New(Options{})
	made, ok := c.Transport.(*transport)
	if !ok || made.base.Proxy != nil || made.base.DialContext == nil {
		t.Errorf("transport %+v", c.Transport)
	}
}
