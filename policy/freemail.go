package policy

// freeMail lists mail providers at which anybody can get an address, with the domains they are known by. It is a short list
// of facts kept by hand, not a database: an address there says nothing about where its owner works. A provider belongs here
// when it is widely used and gives addresses at that very domain to the public. Country variants follow the provider.
var freeMail = map[string]struct{}{
	// Google, Microsoft, Yahoo and AOL, Apple
	"gmail.com": {}, "googlemail.com": {},
	"outlook.com": {}, "hotmail.com": {}, "live.com": {}, "msn.com": {}, "passport.com": {}, "windowslive.com": {},
	"outlook.de": {}, "outlook.fr": {}, "outlook.es": {}, "outlook.it": {}, "outlook.jp": {}, "outlook.co.id": {}, "outlook.in": {},
	"hotmail.co.uk": {}, "hotmail.de": {}, "hotmail.fr": {}, "hotmail.es": {}, "hotmail.it": {}, "hotmail.nl": {}, "hotmail.be": {},
	"hotmail.se": {}, "hotmail.co.jp": {}, "hotmail.com.br": {}, "hotmail.com.ar": {}, "hotmail.ca": {},
	"live.co.uk": {}, "live.de": {}, "live.fr": {}, "live.it": {}, "live.nl": {}, "live.be": {}, "live.se": {}, "live.dk": {},
	"live.no": {}, "live.ca": {}, "live.com.au": {}, "live.com.mx": {}, "live.jp": {}, "live.cn": {},
	"yahoo.com": {}, "ymail.com": {}, "rocketmail.com": {}, "myyahoo.com": {}, "yahoo.co.uk": {}, "yahoo.de": {}, "yahoo.fr": {},
	"yahoo.es": {}, "yahoo.it": {}, "yahoo.ca": {}, "yahoo.co.jp": {}, "yahoo.co.in": {}, "yahoo.in": {}, "yahoo.com.br": {},
	"yahoo.com.au": {}, "yahoo.com.mx": {}, "yahoo.com.ar": {}, "yahoo.com.tw": {}, "yahoo.com.hk": {}, "yahoo.com.sg": {},
	"yahoo.co.id": {}, "yahoo.com.ph": {}, "yahoo.com.vn": {}, "yahoo.ie": {}, "yahoo.se": {}, "yahoo.gr": {}, "yahoo.pl": {},
	"aol.com": {}, "aol.co.uk": {}, "aol.de": {}, "aim.com": {}, "verizon.net": {}, "netscape.net": {},
	"icloud.com": {}, "me.com": {}, "mac.com": {}, "privaterelay.appleid.com": {},
	// Privacy-minded providers and address relays
	"proton.me": {}, "protonmail.com": {}, "protonmail.ch": {}, "pm.me": {}, "passmail.net": {}, "passinbox.com": {},
	"tutanota.com": {}, "tutanota.de": {}, "tutamail.com": {}, "tuta.io": {}, "tuta.com": {}, "keemail.me": {},
	"fastmail.com": {}, "fastmail.fm": {}, "hey.com": {}, "hushmail.com": {}, "hush.com": {}, "mailfence.com": {}, "runbox.com": {},
	"posteo.de": {}, "posteo.net": {}, "mailbox.org": {}, "disroot.org": {}, "riseup.net": {}, "duck.com": {}, "mozmail.com": {},
	"simplelogin.com": {}, "simplelogin.co": {}, "aleeas.com": {}, "slmail.me": {}, "anonaddy.me": {}, "startmail.com": {},
	"zoho.com": {}, "zohomail.com": {}, "zoho.eu": {}, "zohomail.eu": {}, "zoho.in": {}, "zohomail.in": {},
	"mail.com": {}, "email.com": {}, "usa.com": {}, "inbox.com": {}, "lycos.com": {}, "excite.com": {}, "juno.com": {},
	// Germany, Austria, Switzerland
	"gmx.de": {}, "gmx.net": {}, "gmx.at": {}, "gmx.ch": {}, "gmx.com": {}, "gmx.org": {}, "gmx.fr": {}, "gmx.co.uk": {}, "gmx.us": {},
	"web.de": {}, "t-online.de": {}, "magenta.de": {}, "freenet.de": {}, "arcor.de": {}, "1und1.de": {}, "aon.at": {}, "bluewin.ch": {},
	// France, Italy, Spain, Benelux, United Kingdom, Nordics
	"orange.fr": {}, "wanadoo.fr": {}, "free.fr": {}, "sfr.fr": {}, "neuf.fr": {}, "laposte.net": {}, "bbox.fr": {}, "numericable.fr": {},
	"libero.it": {}, "virgilio.it": {}, "tiscali.it": {}, "alice.it": {}, "tin.it": {}, "inwind.it": {}, "iol.it": {}, "aruba.it": {},
	"telefonica.net": {}, "terra.es": {}, "sapo.pt": {}, "ziggo.nl": {}, "kpnmail.nl": {}, "xs4all.nl": {}, "planet.nl": {}, "home.nl": {},
	"telenet.be": {}, "skynet.be": {}, "btinternet.com": {}, "ntlworld.com": {}, "virginmedia.com": {}, "blueyonder.co.uk": {},
	"sky.com": {}, "talktalk.net": {}, "tiscali.co.uk": {}, "telia.com": {}, "online.no": {},
	// Central and Eastern Europe
	"seznam.cz": {}, "email.cz": {}, "post.cz": {}, "centrum.cz": {}, "azet.sk": {}, "zoznam.sk": {}, "wp.pl": {}, "o2.pl": {},
	"onet.pl": {}, "op.pl": {}, "interia.pl": {}, "gazeta.pl": {}, "poczta.onet.pl": {}, "freemail.hu": {}, "citromail.hu": {},
	"abv.bg": {}, "mail.bg": {}, "inbox.lv": {}, "ukr.net": {}, "i.ua": {}, "meta.ua": {},
	"mail.ru": {}, "inbox.ru": {}, "list.ru": {}, "bk.ru": {}, "internet.ru": {}, "rambler.ru": {},
	"yandex.ru": {}, "yandex.com": {}, "yandex.by": {}, "yandex.kz": {}, "yandex.ua": {}, "ya.ru": {},
	// Asia, Middle East
	"qq.com": {}, "foxmail.com": {}, "163.com": {}, "126.com": {}, "yeah.net": {}, "139.com": {}, "189.cn": {}, "aliyun.com": {},
	"sina.com": {}, "sina.cn": {}, "sohu.com": {}, "21cn.com": {}, "tom.com": {},
	"naver.com": {}, "hanmail.net": {}, "daum.net": {}, "kakao.com": {}, "nate.com": {},
	"docomo.ne.jp": {}, "ezweb.ne.jp": {}, "au.com": {}, "softbank.ne.jp": {}, "i.softbank.jp": {}, "nifty.com": {},
	"rediffmail.com": {}, "indiatimes.com": {}, "sify.com": {}, "walla.co.il": {}, "walla.com": {}, "mynet.com": {},
	// Americas, Oceania
	"uol.com.br": {}, "bol.com.br": {}, "terra.com.br": {}, "ig.com.br": {}, "globo.com": {}, "globomail.com": {}, "r7.com": {},
	"prodigy.net.mx": {}, "comcast.net": {}, "att.net": {}, "sbcglobal.net": {}, "bellsouth.net": {}, "cox.net": {}, "charter.net": {},
	"earthlink.net": {}, "optonline.net": {}, "frontier.com": {}, "rogers.com": {}, "shaw.ca": {}, "sympatico.ca": {}, "videotron.ca": {},
	"bigpond.com": {}, "bigpond.net.au": {}, "optusnet.com.au": {}, "xtra.co.nz": {},
}

// FreeMail reports whether the domain, or one it lies under, is that of a well-known provider at which anybody can get an
// address. False means "not known", not "a company".
func (d Domain) FreeMail() bool {
	for ; !d.IsZero(); d = d.Parent() {
		if _, ok := freeMail[d.s]; ok {
			return true
		}
	}
	return false
}
