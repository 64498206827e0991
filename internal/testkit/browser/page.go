package browser

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

const maxQuoted = 400 // bytes of a page in an error

// page is an HTML document and where it came from.
type page struct {
	at  *url.URL
	doc *html.Node
}

// form is one form of a page as it would be sent untouched.
type form struct {
	action   *url.URL
	method   string
	values   url.Values
	user     string // name of the field for the user name
	password string // name of the field for the password; "": it asks for none
}

func (f form) submit() request {
	if f.method == http.MethodPost {
		return request{method: http.MethodPost, url: f.action, form: f.values}
	}
	to := *f.action
	to.RawQuery = f.values.Encode()
	return request{method: http.MethodGet, url: &to}
}

func (p page) forms() []form {
	var all []form
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			if f, ok := p.form(n); ok {
				all = append(all, f)
			}
		}
	}
	return all
}

func (p page) form(n *html.Node) (form, bool) {
	action, err := p.at.Parse(attribute(n, "action"))
	if err != nil {
		return form{}, false
	}
	f := form{action: action, method: http.MethodGet, values: url.Values{}}
	if strings.EqualFold(attribute(n, "method"), http.MethodPost) {
		f.method = http.MethodPost
	}
	for field := range n.Descendants() {
		if field.Type == html.ElementNode {
			f.take(field)
		}
	}
	return f, true
}

// take puts one field into the form.
func (f *form) take(field *html.Node) {
	name := attribute(field, "name")
	if name == "" || field.Data != "input" && field.Data != "textarea" {
		return
	}
	switch attribute(field, "type") {
	case "submit", "button", "image", "reset":
		return
	case "checkbox", "radio":
		if !has(field, "checked") {
			return
		}
	case "password":
		f.password = name
	case "", "text", "email":
		if f.user == "" {
			f.user = name
		}
	}
	f.values.Set(name, attribute(field, "value"))
}

// cancel is the way out that a page offers.
func (p page) cancel() (request, bool) {
	for n := range p.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" && n.Data != "button" {
			continue
		}
		said := strings.ToLower(textOf(n))
		if !strings.Contains(said, "cancel") && !strings.Contains(said, "abort") {
			continue
		}
		if n.Data == "a" {
			to, err := p.at.Parse(attribute(n, "href"))
			return request{method: http.MethodGet, url: to}, err == nil
		}
		for up := n.Parent; up != nil; up = up.Parent {
			if f, ok := p.form(up); up.Data == "form" && ok {
				f.values.Set(attribute(n, "name"), attribute(n, "value"))
				return f.submit(), true
			}
		}
	}
	return request{}, false
}

// text is what the page says, cut to fit an error.
func (p page) text() string {
	s := strings.Join(strings.Fields(textOf(p.doc)), " ")
	return s[:min(len(s), maxQuoted)]
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode && d.Parent.Data != "style" && d.Parent.Data != "script" {
			b.WriteString(d.Data)
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
