// The chat's page: a connection that comes back, and a room that loses nothing and shows nothing twice.
//
// Everything others have written reaches the page through `textContent`; nothing is ever read as HTML.

const $ = (id) => document.getElementById(id);

// Waits between attempts to reconnect: a random share of a limit that doubles, so that the pages of a
// server that comes back do not all arrive in the same moment.
const BACKOFF_FIRST = 500;
const BACKOFF_MAX = 20_000;
// A socket that does not open, or a post that is not answered, in this time is a connection that is dead
// and does not know it.
const OPEN_TIMEOUT = 10_000;
const ANSWER_TIMEOUT = 8_000;

const TYPING_REPEAT = 2_500;
const TYPING_FORGET = 4_000;
const ROOMS_REFRESH = 15_000;
const GROUP_SPAN = 5 * 60_000;
const ENTRIES_MAX = 500;
const WAITING_MAX = 50;

// What the reader has.
let name = localStorage.getItem("name") ?? "";
let wantedName = name; // what the server is asked for; `name` is what it agreed to
const ownIds = new Set(stored("own-ids")); // one per visit: posts of these are the reader's own
let waiting = stored("waiting"); // posts the server has not confirmed, of any room: {room, key, text, sentAt}

// What the room is.
let room = "";
let you = 0;
let limits = { name: 24, text: 1000, history: 50 };
const people = new Map(); // id → name
const typists = new Map(); // id → when to forget it
let latest = 0; // the highest id of a post shown
let rooms = []; // as the server lists them: {name, people}

// What the connection is.
let socket = null;
let welcomed = false;
let attempts = 0;
let retryAt = 0;
let retryTimer = 0;
let openTimer = 0;
const asked = new Map(); // requests that are not answered: id → {resolve, reject}
let lastRequest = 0;

// What the reader looks at.
let sticking = true; // the end of the log is in view, and stays there
let unread = 0;
let typingSentAt = 0;

start();

function start() {
  addEventListener("hashchange", enterRoom);
  addEventListener("online", tryNow);
  addEventListener("offline", () => drop("You are offline."));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    document.title = `#${room} · Wirelark chat`;
    if (!socket) tryNow();
  });
  setInterval(() => document.hidden || refreshRooms(), ROOMS_REFRESH);
  setInterval(tick, 250);
  wireComposer();
  wireName();
  wireSide();
  wireScrolling();
  showName();
  enterRoom();
  if (!name) askName();
}

// ---------------------------------------------------------------------------------------------- Connection

function connect() {
  clearTimeout(retryTimer);
  retryAt = 0;
  if (!wantedName) return;
  const url = new URL(`/chat/${encodeURIComponent(room)}?${new URLSearchParams({ name: wantedName })}`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.hash = "";
  const opening = new WebSocket(url, "wirelark.v1.json");
  socket = opening;
  welcomed = false;
  // Events of a socket that has been given up on are nobody's business any more.
  opening.onmessage = (event) => socket === opening && receiveFrame(JSON.parse(event.data));
  opening.onclose = (event) => socket === opening && closed(event.code, event.reason);
  clearTimeout(openTimer);
  openTimer = setTimeout(() => socket === opening && !welcomed && drop(), OPEN_TIMEOUT);
}

/** Gives up on the socket without waiting for it to notice. */
function drop(why) {
  if (!socket) return;
  hangUp();
  lost(why);
}

function hangUp() {
  const left = socket;
  socket = null;
  welcomed = false;
  forgetRequests();
  left?.close();
}

function closed(code, reason) {
  socket = null;
  welcomed = false;
  forgetRequests();
  switch (code) {
    case 4400: // the name
      return askName(reason);
    case 4404: // the room
      showRoomError(reason);
      return openSide();
    default:
      return lost(code === 1013 ? reason : "");
  }
}

function lost(why) {
  clearTimeout(retryTimer);
  const wait = Math.random() * Math.min(BACKOFF_MAX, BACKOFF_FIRST * 2 ** attempts);
  attempts = Math.min(attempts + 1, 16);
  retryAt = Date.now() + wait;
  retryTimer = setTimeout(connect, wait);
  setTyping();
  setText($("banner-text"), why || "Connection lost.");
  $("banner").hidden = false;
  document.body.classList.add("away");
  tick();
}

function tryNow() {
  if (welcomed || !wantedName || $("banner").hidden) return;
  hangUp();
  connect();
  tick();
}

function tick() {
  if (!$("banner").hidden) {
    const seconds = Math.ceil((retryAt - Date.now()) / 1000);
    setText($("banner-count"), socket || seconds <= 0 ? "Trying again…" : `Trying again in ${seconds} s`);
  }
  if (welcomed && waiting.some((post) => post.room === room && Date.now() - post.sentAt > ANSWER_TIMEOUT)) drop();
  if (typists.size) setTyping();
}

// ---------------------------------------------------------------------------------------------- Calls and pushes

// The frames of a contract, as JSON. What the page asks has an id, and the answer or the error has the same; what the
// server tells unasked is an event. See https://www.npmjs.com/package/@firtoz/socka.

/** What the server says is wrong, for the reader. */
class Refused extends Error {}

/** Calls the server. The promise rejects with a `Refused`, or with something else when the connection is lost. */
function call(rpc, body) {
  return new Promise((resolve, reject) => {
    const id = sendFrame(rpc, body);
    if (id) asked.set(id, { resolve, reject });
    else reject(new Error("there is no connection"));
  });
}

/** Sends a request; its id, or nothing if it cannot be sent now. */
function sendFrame(rpc, body = {}) {
  if (!welcomed || socket.readyState !== WebSocket.OPEN) return undefined;
  lastRequest += 1;
  const id = `${rpc}-${lastRequest}`;
  socket.send(JSON.stringify({ socka: "clientRequest", v: 1, id, rpc, body }));
  return id;
}

function receiveFrame(frame) {
  const request = asked.get(frame.id);
  asked.delete(frame.id);
  switch (frame.socka) {
    case "serverResponse":
      return request?.resolve(frame.body);
    case "serverError":
      return request?.reject(new Refused(frame.error));
    case "serverEvent":
      return receivePush(frame.event, frame.body);
  }
}

function forgetRequests() {
  for (const { reject } of asked.values()) reject(new Error("the connection was lost"));
  asked.clear();
}

function receivePush(event, body) {
  // Whoever was told something before the welcome knows it from the welcome.
  if (!welcomed && event !== "welcome") return;
  switch (event) {
    case "welcome":
      return welcome(body);
    case "joined":
      if (!people.has(body.id)) note(`${body.name} joined`);
      people.set(body.id, body.name);
      return showPeople();
    case "left":
      if (people.has(body.id)) note(`${people.get(body.id)} left`);
      people.delete(body.id);
      typists.delete(body.id);
      setTyping();
      return showPeople();
    case "renamed":
      return renamed(body);
    case "isTyping":
      typists.set(body.id, Date.now() + TYPING_FORGET);
      return setTyping();
    case "said":
      typists.delete(body.author.id);
      setTyping();
      return showPost(body);
  }
}

function welcome(here) {
  ({ you, limits } = here);
  welcomed = true;
  attempts = 0;
  $("banner").hidden = true;
  document.body.classList.remove("away");
  ownIds.add(you);
  store("own-ids", [...ownIds].slice(-100));
  people.clear();
  for (const person of here.people) people.set(person.id, person.name);
  typists.clear();
  setTyping();
  agreeOnName(people.get(you));
  showPeople();
  refreshRooms();

  // Posts are shown by id, so history may overlap with what is here already. When it does not reach back
  // to it, something was said in between that nobody can tell any more.
  const [oldest] = here.history;
  if (latest && oldest && oldest.id > latest && here.history.length >= limits.history) {
    note("Some older messages are no longer kept.", { id: oldest.id - 1, kind: "gap" });
  }
  for (const post of here.history) showPost(post);
  showEmpty();

  // Whatever was sent and not confirmed goes out again. The server knows the keys it has seen.
  for (const post of waiting.filter((post) => post.room === room)) say(post);
}

function renamed(person) {
  const before = people.get(person.id);
  people.set(person.id, person.name);
  if (person.id === you) agreeOnName(person.name);
  if (before !== undefined && before !== person.name) note(`${before} is now ${person.name}`);
  showPeople();
}

// ---------------------------------------------------------------------------------------------- The room

function enterRoom() {
  const asked = roomInUrl();
  if (decodeHash() !== asked) history.replaceState(null, "", `#${encodeURIComponent(asked)}`);
  if (asked === room) return;
  room = asked;
  setText($("room-name"), room);
  document.title = `#${room} · Wirelark chat`;
  $("log").replaceChildren();
  latest = 0;
  people.clear();
  typists.clear();
  setTyping();
  showPeople();
  setUnread(0);
  sticking = true;
  for (const post of waiting.filter((post) => post.room === room)) showWaiting(post);
  setDraft(sessionStorage.getItem(`draft:${room}`) ?? "");
  showTextError("");
  showRoomError("");
  $("banner").hidden = true;
  attempts = 0;
  closeSide();
  hangUp();
  connect();
}

function roomInUrl() {
  return decodeHash().trim().toLowerCase().replace(/\s+/g, "-") || "lobby";
}

function decodeHash() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return ""; // a stray % is no room
  }
}

function showPost(post) {
  const unconfirmed = waiting.some((sent) => sent.key === post.key);
  if (unconfirmed) {
    waiting = waiting.filter((sent) => sent.key !== post.key);
    store("waiting", waiting);
    $("log").querySelector(`[data-key="${CSS.escape(post.key)}"].waiting`)?.remove();
  }
  if (find(post.id)) return;
  latest = Math.max(latest, post.id);
  const own = ownIds.has(post.author.id) || unconfirmed;
  const entry = postEntry(post.text, post.author, post.at, own);
  entry.dataset.key = post.key;
  insert(entry, post.id, { own });
  if (!own && document.hidden) document.title = `● #${room} · Wirelark chat`;
}

/** A post on its way: below everything that has arrived. */
function showWaiting(post) {
  const entry = postEntry(post.text, { id: you, name }, Date.now(), true);
  entry.dataset.key = post.key;
  entry.classList.add("waiting");
  insert(entry, Infinity, { own: true });
}

function postEntry(text, author, at, own) {
  const time = element("time", "", clock(at));
  time.dateTime = new Date(at).toISOString();
  const by = element("p", "by");
  const authorName = element("span", "author", own ? "You" : author.name);
  by.append(authorName, time);
  const entry = element("li", own ? "post own" : "post");
  entry.style.setProperty("--hue", hue(author.name));
  entry.title = new Date(at).toLocaleString();
  // All own posts are one author's, whatever id each connection of theirs had.
  entry.dataset.group = own ? "own" : `${author.id} ${author.name}`;
  entry.dataset.at = at;
  entry.append(by, element("div", "bubble", text));
  return entry;
}

function note(text, { id = latest, kind = "" } = {}) {
  insert(element("li", `note ${kind}`, text), id, { quiet: true });
}

/** Puts an entry where its id belongs, nearly always at the end. */
function insert(entry, id, { own = false, quiet = false } = {}) {
  const log = $("log");
  log.querySelector(".empty")?.remove();
  entry.dataset.id = id;
  let before = log.lastElementChild;
  while (before && Number(before.dataset.id) > id) before = before.previousElementSibling;
  log.insertBefore(entry, before ? before.nextSibling : log.firstChild);
  regroup(entry);
  regroup(entry.nextElementSibling);
  if (own) sticking = true;
  if (sticking) {
    while (log.childElementCount > ENTRIES_MAX) log.firstElementChild.remove();
    regroup(log.firstElementChild);
    scrollToEnd();
  } else if (!quiet) {
    setUnread(unread + 1);
  }
}

/** Posts of one author shortly after each other stand under one name. */
function regroup(entry) {
  if (!entry?.classList.contains("post")) return;
  const above = entry.previousElementSibling;
  const same =
    above?.dataset.group === entry.dataset.group && Number(entry.dataset.at) - Number(above.dataset.at) < GROUP_SPAN;
  entry.classList.toggle("first", !same);
}

function find(id) {
  return $("log").querySelector(`.post[data-id="${Number(id)}"]`);
}

function showEmpty() {
  if ($("log").childElementCount) return;
  $("log").append(element("li", "empty", "Nothing has been said here yet."));
}

function showPeople() {
  setText($("people-count"), people.size);
  const sorted = [...people].sort(([a, one], [b, other]) => (b === you) - (a === you) || one.localeCompare(other));
  showRooms();
  $("people").replaceChildren(
    ...sorted.map(([id, name]) => {
      const item = element("li", "");
      item.append(dot(name), element("span", "", name));
      if (id === you) item.append(element("span", "quiet", "you"));
      return item;
    }),
  );
}

function setTyping() {
  const now = Date.now();
  for (const [id, until] of typists) if (until < now || !people.has(id)) typists.delete(id);
  const names = [...typists.keys()].map((id) => people.get(id));
  const text =
    names.length === 0 || !welcomed ? ""
    : names.length === 1 ? `${names[0]} is typing…`
    : names.length === 2 ? `${names[0]} and ${names[1]} are typing…`
    : "Several people are typing…";
  setText($("typing"), text);
}

// ---------------------------------------------------------------------------------------------- Composing

function wireComposer() {
  const text = $("text");
  text.addEventListener("input", () => {
    showTextError("");
    saveDraft();
    const now = Date.now();
    if (text.value.trim() && now - typingSentAt > TYPING_REPEAT && sendFrame("typing")) typingSentAt = now;
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
}

function submit() {
  const text = $("text").value.trim();
  if (!text) return;
  // The server counts and says what is too long; only what it would hang up on is stopped here.
  if (text.length > 8 * limits.text) return showTextError(`A message has at most ${limits.text} characters.`);
  if (waiting.length >= WAITING_MAX) return showTextError("Too many messages are waiting to be sent already.");
  const post = { room, key: newKey(), text, sentAt: Date.now() };
  waiting.push(post);
  store("waiting", waiting);
  showWaiting(post);
  say(post);
  setDraft("");
  showTextError("");
  typingSentAt = 0;
  $("text").focus();
}

/** A post whose answer does not come goes out again after the next welcome. */
async function say(post) {
  post.sentAt = Date.now();
  try {
    showPost(await call("say", { key: post.key, text: post.text }));
  } catch (error) {
    if (error instanceof Refused) postRefused(post.key, error.message);
  }
}

function postRefused(key, why) {
  const refused = waiting.find((post) => post.key === key);
  if (!refused) return;
  waiting = waiting.filter((post) => post !== refused);
  store("waiting", waiting);
  $("log").querySelector(`[data-key="${CSS.escape(key)}"].waiting`)?.remove();
  // Back to where it can be changed, before whatever has been typed since.
  setDraft([refused.text, $("text").value].filter(Boolean).join("\n"));
  showTextError(why);
  showEmpty();
}

function setDraft(text) {
  $("text").value = text;
  saveDraft();
}

/** Kept per room, so that neither a reload nor a look into another room loses what was typed. */
function saveDraft() {
  const text = $("text");
  if (text.value) sessionStorage.setItem(`draft:${room}`, text.value);
  else sessionStorage.removeItem(`draft:${room}`);
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  text.style.overflowY = text.scrollHeight > 144 ? "auto" : "hidden";
  const length = [...text.value.trim()].length;
  const counter = $("counter");
  counter.hidden = length < 0.8 * limits.text;
  counter.classList.toggle("over", length > limits.text);
  setText(counter, `${length} of ${limits.text} characters`);
}

function showTextError(text) {
  showError($("text-error"), text);
}

// ---------------------------------------------------------------------------------------------- The name

function wireName() {
  $("me").addEventListener("click", () => {
    closeSide();
    askName();
  });
  $("name-cancel").addEventListener("click", () => $("name-dialog").close());
  $("name-dialog").addEventListener("cancel", (event) => name || event.preventDefault());
  $("name-form").addEventListener("submit", (event) => {
    event.preventDefault();
    showError($("name-error"), "");
    wantedName = $("name-input").value.trim();
    if (!wantedName) return showError($("name-error"), "Please choose a name.");
    if (welcomed) return rename();
    $("name-dialog").close();
    hangUp();
    connect();
  });
}

/** The dialog is closed by the push that tells everybody, this page included. */
async function rename() {
  try {
    await call("rename", { name: wantedName });
  } catch (error) {
    if (error instanceof Refused) return renameRefused(error.message);
    // Whoever comes back comes with the new name.
    $("name-dialog").close();
  }
}

function askName(problem = "") {
  const dialog = $("name-dialog");
  if (!dialog.open) {
    $("name-input").value = wantedName || name;
    dialog.showModal();
    $("name-input").select();
  }
  $("name-cancel").hidden = !name;
  showError($("name-error"), problem);
}

function renameRefused(why) {
  wantedName = name;
  askName(why);
}

function agreeOnName(agreed) {
  name = wantedName = agreed;
  localStorage.setItem("name", name);
  showName();
  if ($("name-dialog").open) $("name-dialog").close();
}

function showName() {
  setText($("me-name"), name || "No name yet");
  paintDot($("me-dot"), name);
}

// ---------------------------------------------------------------------------------------------- Rooms and drawer

async function refreshRooms() {
  try {
    const response = await fetch("/rooms");
    if (response.ok) rooms = await response.json();
  } catch {
    return; // the banner says already that the server is away
  }
  showRooms();
}

function showRooms() {
  const listed = rooms.slice(0, 30);
  for (const always of ["lobby", room]) {
    if (!listed.some((known) => known.name === always)) listed.push({ name: always, people: 0 });
  }
  $("rooms").replaceChildren(
    ...listed.map((known) => {
      const link = element("a", "");
      link.href = `#${encodeURIComponent(known.name)}`;
      const count = known.name === room ? people.size : known.people; // the list is older than what is seen here
      link.append(element("span", "", `# ${known.name}`), element("span", "quiet", count || ""));
      if (known.name === room) link.setAttribute("aria-current", "page");
      const item = element("li", "");
      item.append(link);
      return item;
    }),
  );
}

function wireSide() {
  $("side-open").addEventListener("click", openSide);
  $("people-open").addEventListener("click", openSide);
  $("side-close").addEventListener("click", closeSide);
  $("shade").addEventListener("click", closeSide);
  addEventListener("keydown", (event) => event.key === "Escape" && closeSide());
  $("rooms").addEventListener("click", (event) => event.target.closest("a") && closeSide());
  $("room-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = $("room-input").value.trim();
    if (!asked) return;
    $("room-input").value = "";
    showRoomError("");
    location.hash = encodeURIComponent(asked);
  });
}

function openSide() {
  refreshRooms();
  if ($("side").classList.contains("open")) return;
  $("side").classList.add("open");
  $("side-open").setAttribute("aria-expanded", "true");
  // On a wide window the side is always there, and nothing has to be shaded or closed.
  if (getComputedStyle($("side-close")).display === "none") return;
  $("shade").hidden = false;
  $("side-close").focus();
}

function closeSide() {
  if (!$("side").classList.contains("open")) return;
  $("side").classList.remove("open");
  $("side-open").setAttribute("aria-expanded", "false");
  $("shade").hidden = true;
}

function showRoomError(text) {
  showError($("room-error"), text);
}

// ---------------------------------------------------------------------------------------------- Scrolling

function wireScrolling() {
  const scroller = $("scroller");
  scroller.addEventListener("scroll", () => {
    sticking = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 48;
    if (sticking) setUnread(0);
  });
  // A keyboard that opens, a banner, a taller draft: the end stays in view if it was.
  new ResizeObserver(() => sticking && scrollToEnd()).observe(scroller);
  $("pill").addEventListener("click", () => {
    scrollToEnd();
    $("text").focus({ preventScroll: true });
  });
  // Safari lays its keyboard over the page instead of making the page smaller.
  visualViewport?.addEventListener("resize", () => {
    if (visualViewport.scale !== 1) return;
    document.documentElement.style.setProperty("--visible", `${visualViewport.height}px`);
    scrollTo(0, 0);
  });
}

function scrollToEnd() {
  sticking = true;
  $("scroller").scrollTop = $("scroller").scrollHeight;
  setUnread(0);
}

function setUnread(count) {
  unread = count;
  $("pill").hidden = count === 0;
  setText($("pill"), count === 1 ? "1 new message ↓" : `${count} new messages ↓`);
}

// ---------------------------------------------------------------------------------------------- Elements and storage

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function dot(name) {
  const made = element("span", "dot");
  made.setAttribute("aria-hidden", "true");
  paintDot(made, name);
  return made;
}

function paintDot(dot, name) {
  dot.style.setProperty("--hue", hue(name));
  setText(dot, [...name][0]?.toUpperCase() ?? "?");
}

/** Only touched when it changes: live regions announce every write. */
function setText(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}

function showError(element, text) {
  setText(element, text);
  element.hidden = !text;
}

function hue(name) {
  let hash = 0x811c9dc5;
  for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0), 0x01000193);
  return (hash >>> 0) % 360;
}

function clock(at) {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? {} : { weekday: "short", day: "numeric", month: "short" };
  return date.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
}

/** `crypto.randomUUID` only exists on secure origins, and a phone on the same network is on none. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function stored(key) {
  try {
    const value = JSON.parse(sessionStorage.getItem(key));
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}

function store(key, value) {
  sessionStorage.setItem(key, JSON.stringify(value));
}
