// What both identity providers here share: their settings, a page with a login form, and how they say that they are up.
// They listen on 127.0.0.1 alone, on a port the system chooses, and end when whoever started them closes their standard input.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

// settings are the JSON file named on the command line. It holds keys and passwords of one test run.
export const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// listen starts a server and calls serve with its base URL; serve returns the handler of requests.
export async function listen(serve) {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  server.on('request', await serve(base));
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
  console.log(`ready ${base}`);
}

// form takes the form of a POST.
export async function form(request) {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 1 << 20) throw new Error('the form is too large');
  }
  return Object.fromEntries(new URLSearchParams(body));
}

const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text).replace(/[&<>"']/g, (c) => entities[c]);
const hidden = (fields) => Object.entries(fields).filter(([, value]) => value)
  .map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`).join('');

export function page(response, status, content) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`<!doctype html><title>Sign in</title>${content}`);
}

// login asks for user name and password and takes fields along.
export const login = (response, action, fields, hint = '') => page(response, 200,
  `<p>${escape(hint)}</p><form method="post" action="${escape(action)}">${hidden(fields)}`
  + '<input type="text" name="user"><input type="password" name="password">'
  + '<button type="submit">Sign in</button><button type="submit" name="cancel" value="yes">Cancel</button></form>');

// handOver is a form that submits itself.
export const handOver = (response, action, fields) => page(response, 200,
  `<form method="post" action="${escape(action)}">${hidden(fields)}<noscript><button type="submit">Go on</button></noscript></form>`
  + '<script>document.forms[0].submit()</script>');
