package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-audit/postern/internal/config"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLaterSourcesWin(t *testing.T) {
	file := write(t, "data_dir: /file\nhttp: {address: 'localhost:1'}\nlog: {level: warn, format: json}\ndeadlines:\n  call: 2s\nredis:\n  # all commented out\n")
	c, err := config.Load(config.Sources{
		File: file,
		Environ: []string{"HOME=/root", "POSTERN_ADDRESS=unix:/x", "POSTERN_HTTP_ADDRESS=127.0.0.1:2", "POSTERN_LOG_LEVEL=error",
			"POSTERN_DEVELOPMENT_REFLECTION=true", "POSTERN_PARTITIONS=8"},
		Set: []string{"log.level=debug", "deadlines.stop=1m"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/file" || c.HTTP.Address != "127.0.0.1:2" || c.Log.Level != "debug" || c.Log.Format != "json" ||
		c.Deadlines.Call != 2*time.Second || c.Deadlines.Stop != time.Minute || !c.Development.Reflection || c.Partitions != 8 ||
		c.Redis.Mode != config.RedisEmbedded {
		t.Errorf("got\n%s", config.YAML(c, nil))
	}
	if got := c.SocketPath(); got != "/file/postern.sock" {
		t.Errorf("SocketPath() = %s", got)
	}
}

func TestAListIsReplacedNotMerged(t *testing.T) {
	c, err := config.Load(config.Sources{
		File:    write(t, "redis: {mode: cluster, addresses: ['a:1', 'b:2', 'c:3']}"),
		Environ: []string{"POSTERN_COMPONENTS=archiver", "POSTERN_REDIS_ADDRESSES=d:4, e:5"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.Components, " ") != "archiver" || strings.Join(c.Redis.Addresses, " ") != "d:4 e:5" {
		t.Errorf("components %q, addresses %q", c.Components, c.Redis.Addresses)
	}
}

func TestEveryProblemIsNamedWithItsPlaceAndWhatToDo(t *testing.T) {
	_, err := config.Load(config.Sources{
		File:    write(t, "lisen: {socket: x}\nredis: {tls: {cafile: x}, database: many, mode:}\nlog: loud\npartitions: 1.5\nlevel: info\ncomponents: signin\n"),
		Environ: []string{"POSTERN_REDIS_PASWORD=tops3cret", "POSTERN_LISTEN_TCP=x"},
		Set:     []string{"deadlines.call=5", "nothing", "log.levl=x"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"postern.yaml: lisen.socket: is no setting; did you mean listen.socket?",
		"postern.yaml: redis.tls.cafile: is no setting; did you mean redis.tls.ca_file or ",
		"postern.yaml: redis.database: must be a whole number",
		"postern.yaml: redis.mode: has no value",
		"postern.yaml: log: is a section",
		"postern.yaml: partitions: must be a whole number",
		"postern.yaml: level: is no setting; did you mean log.level?",
		"environment: POSTERN_REDIS_PASWORD: is no setting",
		"--set deadlines.call: must be a duration with its unit",
		"--set nothing: must be PATH=VALUE",
		"--set log.levl: is no setting",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "tops3cret") {
		t.Errorf("a value is repeated:\n%v", err)
	}
}

func TestABrokenFileIsRefusedWithItsPlace(t *testing.T) {
	for name, tc := range map[string]struct{ content, want string }{
		"syntax":        {"a: [1\nb: 2", "postern.yaml"},
		"key twice":     {"data_dir: a\ndata_dir: b", "[2:1]"},
		"two documents": {"data_dir: a\n---\ndata_dir: b", "one YAML document"},
		"a list":        {"- a", "postern.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(config.Sources{File: write(t, tc.content)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	if _, err := config.Load(config.Sources{File: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a file that is not there was accepted")
	}
	if _, err := config.Load(config.Sources{File: write(t, "")}); err != nil {
		t.Errorf("an empty file: %v", err)
	}
}

func TestValidateSaysWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		set  []string
		want string
	}{
		"embedded needs all":      {[]string{"components=signin"}, "components: must hold archiver with the embedded store"},
		"component twice":         {[]string{"components=signin,archiver,api,api"}, "components[3]: is named twice"},
		"component unknown":       {[]string{"components=signin,archiver,api,ui"}, "components[3]: must be signin, archiver or api"},
		"no component":            {[]string{"components="}, "components: must name at least one"},
		"partitions":              {[]string{"partitions=65"}, "partitions: must be 1 to 64"},
		"tcp without authn":       {[]string{"listen.tcp=:9000"}, "listen.tcp: has no authentication yet"},
		"http beyond loopback":    {[]string{"http.address=0.0.0.0:80"}, "http.address: must be on the loopback interface"},
		"http without host":       {[]string{"http.address=:80"}, "http.address: must be on the loopback interface"},
		"http port":               {[]string{"http.address=127.0.0.1:http"}, "http.address: must be host:port"},
		"events prefix":           {[]string{"http.events.prefix=admin/"}, "http.events.prefix: must be 1 to 6 segments"},
		"events prefix escaped":   {[]string{"http.events.prefix=/a%2fb"}, "http.events.prefix: must be 1 to 6 segments"},
		"events over the API":     {[]string{"http.events.prefix=/v1/orgs"}, "http.events.prefix: must not begin with"},
		"events public path":      {[]string{"http.events.public_url=https://a.example/x"}, "http.events.public_url: must be https or http"},
		"events public scheme":    {[]string{"http.events.public_url=a.example"}, "http.events.public_url: must be https or http"},
		"events public user":      {[]string{"http.events.public_url=https://u:tops3cret@a.example"}, "http.events.public_url: must be https or http"},
		"events limit":            {[]string{"http.events.requests_per_minute=0"}, "http.events.requests_per_minute: must be 1 to 10000"},
		"events stream limit":     {[]string{"http.events.stream_requests_per_minute=10001"}, "stream_requests_per_minute: must be 1 to 10000"},
		"long socket":             {[]string{"listen.socket=/" + strings.Repeat("x", 100)}, "listen.socket: is longer than"},
		"abstract socket":         {[]string{"listen.socket=@x"}, "listen.socket: must be a path"},
		"addresses embedded":      {[]string{"redis.addresses=a:1"}, "redis.addresses: are not used by the embedded store"},
		"addresses standalone":    {[]string{"redis.mode=standalone"}, "redis.addresses: must hold exactly one"},
		"addresses cluster":       {[]string{"redis.mode=cluster"}, "redis.addresses: must hold at least one"},
		"socket in a cluster":     {[]string{"redis.mode=cluster", "redis.addresses=unix:/x"}, "redis.addresses[0]: a unix socket"},
		"sentinel without master": {[]string{"redis.mode=sentinel", "redis.addresses=a:1"}, "redis.master_name: must be set"},
		"database in a cluster":   {[]string{"redis.mode=cluster", "redis.addresses=a:1", "redis.database=1"}, "redis.database: must be 0"},
		"one keyset":              {[]string{"keys.hash_file=/x"}, "keys.master_file: and hash_file must be set together"},
		"two passwords":           {[]string{"redis.password=x", "redis.password_file=/x"}, "redis.password_file: excludes"},
		"half a certificate":      {[]string{"redis.tls.enabled=true", "redis.tls.cert_file=/x"}, "redis.tls.cert_file: and key_file"},
		"tls settings without":    {[]string{"redis.tls.ca_file=/x"}, "redis.tls.enabled: must be true"},
		"two archives":            {[]string{"archive.url=postgres://u@h/d", "archive.sqlite=/x"}, "archive.url: excludes archive.sqlite"},
		"archive elsewhere":       {[]string{"archive.url=mysql://u@h/d"}, "archive.url: must be postgres://USER@HOST:PORT/DATABASE"},
		"archive without a name":  {[]string{"archive.url=postgres://u@h"}, "archive.url: must be postgres://USER@HOST:PORT/DATABASE"},
		"archive's password":      {[]string{"archive.url=postgres://u:tops3cret@h/d"}, "archive.url: must not hold a password"},
		"archive's other one":     {[]string{"archive.url=postgres://u@h/d?password=tops3cret"}, "archive.url: must not hold a password"},
		"password for SQLite":     {[]string{"archive.password_file=/x"}, "archive.password_file: is for archive.url"},
		"archive connections":     {[]string{"archive.max_connections=1"}, "archive.max_connections: must be 2 to 200"},
		"mode":                    {[]string{"redis.mode=memory"}, "redis.mode: must be embedded, standalone, sentinel or cluster"},
		"lifetime":                {[]string{"signin.min_lifetime=2m"}, "signin.min_lifetime: must be 1s to 1m"},
		"call":                    {[]string{"deadlines.call=0s"}, "deadlines.call: must be 100ms to 5m"},
		"level":                   {[]string{"log.level=loud"}, "log.level: must be debug, info, warn or error"},
		"format":                  {[]string{"log.format=xml"}, "log.format: must be auto, json or text"},
		"data_dir":                {[]string{"data_dir="}, "data_dir: must name a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Load(config.Sources{Set: tc.set})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant one with %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "tops3cret") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

func TestSeveralHostsOfAnArchiveAreOnePlace(t *testing.T) {
	c, err := config.Load(config.Sources{Set: []string{"archive.url=postgres://postern@db1:5432,db2:5432/postern?sslmode=verify-full"}})
	if err != nil || c.ArchivePlace() != "PostgreSQL at db1:5432,db2:5432/postern" {
		t.Errorf("%q, %v", c.ArchivePlace(), err)
	}
}

func TestWhatIsPrintedLoadsAgainAndHidesSecrets(t *testing.T) {
	c, err := config.Load(config.Sources{Set: []string{"redis.mode=standalone", "redis.addresses=unix:/run/redis.sock",
		"redis.password=tops3cret", "data_dir=on", "redis.username=yes: #1\n\"x\"", "deadlines.call=1m30s", "deadlines.start=1h"}})
	if err != nil {
		t.Fatal(err)
	}
	text := config.YAML(c, nil)
	if strings.Contains(text, "tops3cret") {
		t.Errorf("the password shows:\n%s", text)
	}
	again, err := config.Load(config.Sources{File: write(t, text)})
	if err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if got := config.YAML(again, nil); got != text {
		t.Errorf("printed\n%s\nloaded as\n%s", text, got)
	}
}

func TestEverySettingHasAVariableOfItsOwn(t *testing.T) {
	c := config.Default()
	seen := map[string]string{}
	for _, f := range config.Fields(&c) {
		if other, ok := seen[f.Env]; ok {
			t.Errorf("%s and %s share %s", f.Path, other, f.Env)
		}
		seen[f.Env] = f.Path
		if strings.HasSuffix(f.Path, ".") || strings.HasSuffix(f.Env, "_") {
			t.Errorf("%s has no koanf tag", f.Go)
		}
	}
}
