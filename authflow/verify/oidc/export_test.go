package oidc

import "time"

// Object is the strict JSON reader.
func Object(data []byte) (names []string, values [][]byte, err error) {
	members, err := object(data)
	for _, m := range members {
		names, values = append(names, m.name), append(values, m.value)
	}
	return names, values, err
}

// SetTimeout bounds a fetch otherwise.
func (r *RemoteKeys) SetTimeout(d time.Duration) { r.timeout = d }
