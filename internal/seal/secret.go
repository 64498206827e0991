package seal

import "github.com/postern-audit/postern/internal/errs"

// EncryptSecret encrypts a secret for one record of an organization: no part of any chain, nothing but ciphertext.
func (r *Keyring) EncryptSecret(organizationUID, recordID string, plain []byte) ([]byte, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return nil, err
	}
	data, err := key.aead.Encrypt(plain, associated(organizationUID, recordID))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "SEAL_FAILED", "a secret cannot be sealed")
	}
	return data, nil
}

// DecryptSecret is the reverse of EncryptSecret. The ciphertext of another record or organization is an error.
func (r *Keyring) DecryptSecret(organizationUID, recordID string, sealed []byte) ([]byte, error) {
	key, err := r.ready(organizationUID)
	if err != nil {
		return nil, err
	}
	plain, err := key.aead.Decrypt(sealed, associated(organizationUID, recordID))
	if err != nil {
		return nil, errs.Wrap(err, errs.Internal, "SECRET_UNREADABLE", "a secret cannot be opened")
	}
	return plain, nil
}
