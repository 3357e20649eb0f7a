/* Passkeys: asks the box what to sign, the browser to sign it, and sends the answer back. */

const toBytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const toText = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

export const canUse = Boolean(globalThis.PublicKeyCredential && navigator.credentials);

/* Posts to the box and reads its JSON; anything else it may answer means that the page is out of date. */
export async function send(address, token, fields = {}) {
  const answer = await fetch(address, {
    method: "POST",
    body: new URLSearchParams(fields),
    headers: { "X-CSRFToken": token, Accept: "application/json" },
    redirect: "manual",
  });
  if (answer.status === 204) return { status: 204, ok: true };
  const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  if (!isJson) return { status: answer.status, ok: false, error: "This page is out of date. Load it again." };
  return { ...(await answer.json()), status: answer.status, ok: answer.ok };
}

async function make(options) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: toBytes(options.challenge),
      user: { ...options.user, id: toBytes(options.user.id) },
      excludeCredentials: (options.excludeCredentials || []).map((one) => ({ ...one, id: toBytes(one.id) })),
    },
  });
  return {
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: toText(made.response.clientDataJSON),
      attestationObject: toText(made.response.attestationObject),
    },
  };
}

async function use(options) {
  const used = await navigator.credentials.get({
    publicKey: {
      ...options,
      challenge: toBytes(options.challenge),
      allowCredentials: (options.allowCredentials || []).map((one) => ({ ...one, id: toBytes(one.id) })),
    },
  });
  return {
    id: used.id,
    rawId: toText(used.rawId),
    type: used.type,
    response: {
      clientDataJSON: toText(used.response.clientDataJSON),
      authenticatorData: toText(used.response.authenticatorData),
      signature: toText(used.response.signature),
      userHandle: used.response.userHandle ? toText(used.response.userHandle) : null,
    },
  };
}

/* Goes all the way; returns what the box answered, with .error in words when it failed. */
export async function prove(kind, ask, address, token, fields = {}) {
  try {
    const options = await send(ask, token);
    if (!options.challenge) return { ok: false, error: options.error };
    const answer = kind === "add" ? await make(options) : await use(options);
    return await send(address, token, { ...fields, answer: JSON.stringify(answer) });
  } catch (error) {
    if (error.name === "InvalidStateError") return { ok: false, error: "This device has a passkey for your account already." };
    if (error.name === "NotAllowedError") return { ok: false, error: "Nothing was done: it was stopped, or took too long." };
    if (error.name === "SecurityError")
      return { ok: false, error: "Passkeys work only at the box’s own name. Open the portal by the address you were given." };
    return { ok: false, error: "This did not work. Check your network, then try again." };
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!canUse) break;
  form.hidden = false;
  form.closest("[data-passkey-section]")?.removeAttribute("hidden");
  const error = form.querySelector("[data-passkey-error]");
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    error.hidden = true;
    const fields = Object.fromEntries([...new FormData(form)].filter(([name]) => name !== "csrf_token" && name !== "answer"));
    const token = form.elements.csrf_token.value;
    const answer = await prove(form.dataset.passkey, form.dataset.ask, form.action, token, fields);
    if (answer.ok && answer.next) location.assign(answer.next);
    else if (answer.status === 410) location.reload();
    else {
      error.textContent = answer.error;
      error.hidden = false;
      button.ariaBusy = "false";
    }
  }, true);
}
