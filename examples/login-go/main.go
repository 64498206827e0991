// Command login-go is a small login service that asks Postern about every sign-in: copy what you need of it.
//
// Purpose: show the calls in order (StartFlow, ReportStep, VerifyTotp, FinishFlow, RecordSession, CheckAccess) with their request
// ids, retries and deadlines. Invariant: a session is opened only after FinishFlow said SUCCEEDED, and no answer is no admission. It
// must never hold real accounts: passwords are in the source, and pages have no style. First function to read: login.
//
//	go run ./examples/login-go -site organizations/acme/sites/wiki    # beside a running `postern serve`
package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"flag"
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/postern-audit/postern/proto/gen/go/postern/v1"
)

// accounts are this service's own: Postern knows them by their id.
var accounts = map[string]struct{ id, password string }{
	"guest@gmail.com":               {"acct-7", "correct horse"},
	"nurse@clinic-postern-demo.com": {"acct-8", "battery staple"},
}

type service struct {
	log     *slog.Logger
	postern pb.SignInServiceClient
	site    string
	mu      sync.Mutex
	pending map[string]string // cookie "signin" to flow
}

func main() {
	socket := flag.String("socket", "data/postern.sock", "unix socket of postern serve")
	site := flag.String("site", "organizations/acme/sites/wiki", "site people sign in to")
	listen := flag.String("listen", "127.0.0.1:8080", "address to serve pages on")
	flag.Parse()
	s := &service{log: slog.New(slog.NewTextHandler(os.Stderr, nil)), site: *site, pending: map[string]string{}}
	s.log.Info("serving", "at", "http://"+*listen)
	if err := s.serve(*socket, *listen); err != nil {
		s.log.Error("ended", "error", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func (s *service) serve(socket, listen string) error {
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	s.postern = pb.NewSignInServiceClient(conn)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /code", s.code)
	mux.HandleFunc("POST /logout", s.logout)
	server := &http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return server.ListenAndServe()
}

// ask sends one request, again with the same request id while nothing was recorded or nobody knows whether it was.
func ask[Q, A any](r *http.Request, call func(context.Context, Q, ...grpc.CallOption) (A, error), request Q) (A, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	for pause := 50 * time.Millisecond; ; pause *= 2 {
		answer, err := call(ctx, request)
		if c := status.Code(err); c != codes.Unavailable && c != codes.Aborted {
			return answer, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return answer, errors.Join(err, ctx.Err())
		}
	}
}

// login takes address and password: one flow, one step, and the end if nothing more is demanded.
func (s *service) login(w http.ResponseWriter, r *http.Request) {
	typed := r.FormValue("email")
	start, err := ask(r, s.postern.StartFlow, &pb.StartFlowRequest{Parent: s.site, RequestId: rand.Text(),
		Subject: &pb.Subject{Email: typed}, Context: from(r)})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	step := &pb.StepReport{Type: "password.rejected", Reason: "USER_NOT_FOUND"}
	if a, known := accounts[typed]; known && subtle.ConstantTimeCompare([]byte(a.password), []byte(r.FormValue("password"))) == 1 {
		proven := true // this service sent a link there when the account was made
		step = &pb.StepReport{Type: "password.verified", Subject: &pb.Subject{AccountId: a.id, Email: typed, EmailVerified: &proven}}
	} else if known {
		step.Reason = "BAD_CREDENTIALS"
	}
	answer, err := ask(r, s.postern.ReportStep, &pb.ReportStepRequest{Flow: start.GetFlow(), RequestId: rand.Text(), Step: step})
	s.next(w, r, answer, err)
}

// code takes a one-time code, which Postern checks.
func (s *service) code(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	flow, ok := s.pending[cookie(r, "signin")]
	s.mu.Unlock()
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	answer, err := ask(r, s.postern.VerifyTotp, &pb.VerifyTotpRequest{Flow: flow, RequestId: rand.Text(), Code: r.FormValue("code"), Context: from(r)})
	s.next(w, r, answer, err)
}

// next does what an answer says: finish, ask for a code, or show why not.
func (s *service) next(w http.ResponseWriter, r *http.Request, answer *pb.FlowAnswer, err error) {
	if err != nil {
		s.unavailable(w, err)
		return
	}
	for _, n := range answer.GetNext() {
		if n.GetFactor() == "TOTP" {
			s.askForCode(w, answer)
			return
		}
	}
	finish := &pb.Finish{Action: pb.Finish_ACTION_COMPLETE} // nothing proven: it ends as FAILED, with its reason
	answer, err = ask(r, s.postern.FinishFlow, &pb.FinishFlowRequest{Flow: answer.GetFlow(), RequestId: rand.Text(), Finish: finish})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	if answer.GetEnding() != pb.Ending_ENDING_SUCCEEDED {
		page(w, http.StatusForbidden, "<p>%s</p><p>Support code %s</p>", answer.GetUserMessage().GetText(), answer.GetSupportCode())
		return
	}
	session := rand.Text()
	_, err = ask(r, s.postern.RecordSession, &pb.RecordSessionRequest{Parent: s.site, RequestId: rand.Text(),
		Event: pb.RecordSessionRequest_EVENT_STARTED, Flow: answer.GetFlow(), SessionHandle: []byte(session), Context: from(r)})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	set(w, "session", session)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *service) askForCode(w http.ResponseWriter, answer *pb.FlowAnswer) {
	token := rand.Text()
	s.mu.Lock()
	s.pending[token] = answer.GetFlow() // a real service lets these go with the flow's deadline
	s.mu.Unlock()
	set(w, "signin", token)
	page(w, http.StatusOK, `<p>%s</p><form method=post action=/code><input name=code autofocus><button>Go on</button></form>`, answer.GetUserMessage().GetText())
}

// home holds the session to the policy on every request; a real service caches the answer until valid_until.
func (s *service) home(w http.ResponseWriter, r *http.Request) {
	if session := cookie(r, "session"); session != "" {
		answer, err := ask(r, s.postern.CheckAccess, &pb.CheckAccessRequest{Site: s.site,
			Credential: &pb.CheckAccessRequest_SessionHandle{SessionHandle: []byte(session)}, Context: from(r)})
		if err != nil {
			s.unavailable(w, err)
			return
		}
		if answer.GetVerdict() == pb.Verdict_VERDICT_ALLOW {
			page(w, http.StatusOK, `<p>You are in.</p><form method=post action=/logout><button>Leave</button></form>`)
			return
		}
	}
	page(w, http.StatusOK, `<form method=post action=/login><input name=email><input name=password type=password><button>Sign in</button></form>`)
}

func (s *service) logout(w http.ResponseWriter, r *http.Request) {
	if session := cookie(r, "session"); session != "" {
		_, err := ask(r, s.postern.RecordSession, &pb.RecordSessionRequest{Parent: s.site, RequestId: rand.Text(),
			Event: pb.RecordSessionRequest_EVENT_ENDED, SessionHandle: []byte(session), EndCause: pb.RecordSessionRequest_END_CAUSE_LOGOUT})
		if err != nil {
			s.unavailable(w, err)
			return
		}
	}
	set(w, "session", "")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// from is where a request came from. Behind a proxy, take the address from the header that yours sets.
func from(r *http.Request) *pb.Context {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil
	}
	return &pb.Context{Ip: host, UserAgent: r.UserAgent(), Client: pb.Client_CLIENT_WEB}
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

func set(w http.ResponseWriter, name, value string) { // Secure, too, wherever there is TLS
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}) //nolint:gosec // G124: no TLS here
}

// unavailable fails closed: without an answer nobody is let in.
func (s *service) unavailable(w http.ResponseWriter, err error) {
	s.log.Error("no answer", "error", err)
	page(w, http.StatusServiceUnavailable, "<p>Signing in is not possible at the moment.</p>")
}

func page(w http.ResponseWriter, code int, format string, texts ...string) {
	args := make([]any, len(texts))
	for i, t := range texts {
		args[i] = html.EscapeString(t)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "<!doctype html><title>Sign in</title>"+format, args...)
}
