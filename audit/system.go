package audit

// SystemID and SystemUID name the reserved organization that holds what belongs to no tenant. It cannot be applied or read
// by anyone but an operator.
const (
	SystemID  = "system"
	SystemUID = "00000000-0000-7000-8000-000000000000"
)
