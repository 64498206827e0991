package show

import posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"

// KeyHeader names the columns of KeyRow.
func KeyHeader() []string {
	return []string{"KEY", "NAME", "STATE", "DETAIL", "EXPIRES", "LAST USE", "CREATED", "BY"}
}

// KeyRow is an API key in a list.
func KeyRow(k *posternv1.Key) []string {
	return []string{last(k.GetName()), k.GetDisplayName(), Enum("STATE", k.GetState()), Enum("DETAIL", k.GetDetail()), Time(k.GetExpireTime()),
		Time(k.GetLastUseTime()), Time(k.GetCreateTime()), k.GetCreator()}
}

// Key returns what there is to know of an API key as rows of field and value. Fields that are not set are left out.
func Key(k *posternv1.Key) [][]string {
	r := &rows{}
	r.add("name", k.GetName())
	r.add("for", k.GetDisplayName())
	r.add("role", Enum("ROLE", k.GetRole()))
	r.add("detail", Enum("DETAIL", k.GetDetail()))
	if k.GetIncludeSandbox() {
		r.add("sandbox", "shown")
	}
	r.add("state", Enum("STATE", k.GetState()))
	r.add("created", Time(k.GetCreateTime()))
	r.add("by", k.GetCreator())
	r.add("expires", Time(k.GetExpireTime()))
	r.add("revoked", Time(k.GetRevokeTime()))
	r.add("last use", Time(k.GetLastUseTime()))
	return r.all
}
