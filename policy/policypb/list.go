package policypb

import (
	"github.com/postern-audit/postern/policy"
	posternv1 "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

func fromList(l *policy.AccountList) *posternv1.AccountList {
	m := &posternv1.AccountList{Name: l.Name, Accounts: fromKeys(l.Accounts)}
	for _, e := range l.Expiries {
		m.Expiries = append(m.Expiries, &posternv1.AccountList_Expiry{Account: e.Account[:], ExpiresAt: fromTime(e.At)})
	}
	return m
}

func toList(m *posternv1.AccountList) (policy.AccountList, error) {
	l := policy.AccountList{Name: m.GetName()}
	var err error
	if l.Accounts, err = toKeys(m.GetAccounts()); err != nil {
		return l, err
	}
	for _, e := range m.GetExpiries() {
		if len(e.GetAccount()) != len(policy.AccountKey{}) || e.GetExpiresAt() == nil || !valid(e.GetExpiresAt()) {
			return l, unreadable("an expiry without account or time")
		}
		l.Expiries = append(l.Expiries, policy.AccountExpiry{Account: policy.AccountKey(e.GetAccount()), At: toTime(e.GetExpiresAt())})
	}
	return l, nil
}
