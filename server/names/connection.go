package names

const connections = "/connections/"

// Connection reads organizations/{organization}/connections/{connection}.
func Connection(field, name string) (organization, connection string, err error) {
	organization, connection, ok := split(name, connections)
	if !ok || !IsID(connection) {
		return "", "", invalid(field, "organizations/{organization}/connections/{connection}")
	}
	return organization, connection, nil
}

// FormatConnection writes what Connection reads.
func FormatConnection(organization, connection string) string {
	return organizations + organization + connections + connection
}
