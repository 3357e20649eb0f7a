// What is particular to single sites: where a chat's replies stand, which address parameter holds a search.

function covers(entry, host) {
  return entry.hosts.some((one) => host === one || host.endsWith(`.${one}`));
}

function hostOf(address) {
  try {
    return new URL(address).hostname.replace(/^www\./, "");
  } catch {
    return "";
  }
}

/** For a content script: {reply: selectors, keys: whether the keys must be put together there}. */
export function rulesFor(sites, address) {
  const host = hostOf(address);
  const chat = sites.chats.find((entry) => covers(entry, host));
  return {
    reply: [...(chat?.reply ?? []), ...sites.generic_chat],
    keys: covers({ hosts: sites.keys }, host),
  };
}

/** What was searched for at `address`, "" where nothing. */
export function searchIn(sites, address) {
  let parameters;
  try {
    parameters = new URL(address).searchParams;
  } catch {
    return "";
  }
  const own = sites.searches.find((entry) => covers(entry, hostOf(address)));
  for (const name of [...(own?.parameters ?? []), ...sites.generic_search]) {
    const value = parameters.get(name)?.trim();
    if (value) return value;
  }
  return "";
}

/** `address` without the name and password that some hold. */
export function plainAddress(address) {
  try {
    const url = new URL(address);
    url.username = "";
    url.password = "";
    return url.href;
  } catch {
    return address ?? "";
  }
}
