// Signs requests with the vendor's signer: one JSON case a line on standard input, one answer a line on standard
// output, the authorization header. What the gateway never signs although this signer would is named as unsignable.
// Used by spec/clients/sigv4_spec.lua.
import { createInterface } from "node:readline";
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";

const unsignableHeaders = new Set([
  "traceparent", "tracestate", "baggage", "content-length", "accept-encoding",
]);

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: request.access_key_id,
      secretAccessKey: request.secret_access_key,
      sessionToken: request.session_token,
    },
    region: request.region,
    service: request.service,
    sha256: Sha256,
    applyChecksum: request.content_sha256,
  });
  // Repeated names: the vendor's form has one value a name, with the values joined in order.
  const headers = {};
  const spelling = new Map();
  for (const [name, value] of request.headers) {
    const lower = name.toLowerCase();
    if (spelling.has(lower)) {
      headers[spelling.get(lower)] += `,${value}`;
    } else {
      spelling.set(lower, name);
      headers[name] = value;
    }
  }
  const query = {};
  for (const [name, value] of request.query ?? []) {
    query[name] = [...(query[name] ?? []), value];
  }
  const signed = await signer.sign(
    { method: request.method, protocol: "https:", hostname: "unused", path: request.path, query, headers, body: request.body },
    { signingDate: new Date(request.time_s * 1000), unsignableHeaders },
  );
  process.stdout.write(`${signed.headers.authorization}\n`);
}
