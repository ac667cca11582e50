// `@wirelark/client/react`: sessions and raw sockets in components, for React 18 and newer.
//
// Nothing happens while a component renders, so that a server can render it and React may render it twice. What an
// effect starts is stopped a moment after its cleanup: StrictMode and fast refresh clean up and start again at once, and
// neither should cost a connection.

import {
  type CallName,
  type CallOptions,
  type Calls,
  type Contract,
  connect,
  type PushBody,
  type PushName,
  type Session,
  type SessionOptions,
  type Status,
} from "@wirelark/client";
import {
  type Member,
  memberOf,
  type NewsName,
  type PresenceState,
  type WatchOptions,
  watchPresence,
} from "@wirelark/client/presence";
import {
  type Message,
  type RawOptions,
  RawSocket,
  type RawState,
  type Route,
  type Sendable,
} from "@wirelark/client/raw";
import {
  createContext,
  createElement,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";

/** Sessions that components have around them, the innermost first. */
interface Provided {
  readonly contract: Contract;
  readonly session: unknown;
  readonly outer: Provided | undefined;
}

const Sessions = createContext<Provided | undefined>(undefined);

export interface SessionProviderProps<C extends Contract> {
  readonly contract: C;
  /** Read once: with another `key` it is another session. */
  readonly options: SessionOptions<C>;
  readonly children?: ReactNode;
}

/**
 * One session for all components inside. It connects when it is mounted, unless `autoConnect` is `false`, and closes
 * when it is unmounted.
 */
export function SessionProvider<const C extends Contract>(props: SessionProviderProps<C>): ReactNode {
  const { contract, options, children } = props;
  const outer = useContext(Sessions);
  const [session] = useState(() => connect(contract, { ...options, autoConnect: false }));
  const [autoConnect] = useState(options.autoConnect !== false);
  const start = useCallback(() => {
    if (autoConnect) void session.connect();
  }, [session, autoConnect]);
  const stop = useCallback(() => void session.close(), [session]);
  useLife(start, stop);
  const provided = useMemo(() => ({ contract: session.contract, session, outer }), [session, outer]);
  return createElement(Sessions.Provider, { value: provided }, children);
}

/** The session of the nearest provider of this contract. It is the same in each render, and its methods can be used in effects. */
export function useSession<C extends Contract>(contract: C): Session<C> {
  let provided = useContext(Sessions);
  while (provided !== undefined && provided.contract !== contract) provided = provided.outer;
  if (provided !== undefined) return provided.session as Session<C>;
  throw new Error(`there is no <SessionProvider> of the contract ${contract.name} around this component`);
}

/** What the session is doing; `session.closed` and `session.retry` say more. */
export function useStatus(contract: Contract): Status {
  const session = useSession(contract);
  const subscribe = useCallback((changed: () => void) => session.onStatus(changed), [session]);
  const status = () => session.status;
  return useSyncExternalStore(subscribe, status, status);
}

/** Calls `listener`, the one of the latest render, for each push of this name. */
export function usePush<C extends Contract, Name extends PushName<C>>(
  contract: C,
  name: Name,
  listener: (body: PushBody<C, Name>) => unknown,
): void {
  const session = useSession(contract);
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => session.on(name, (body) => latest.current(body)), [session, name]);
}

type CallFunction<C extends Contract, Name extends CallName<C>> = Calls<C, CallOptions>[Name] extends (
  ...args: infer Args
) => Promise<infer Answer>
  ? { readonly args: Args; readonly answer: Answer }
  : never;

/** A call and what became of the latest. */
export interface UsedCall<Args extends readonly unknown[], Answer> {
  /** Makes it. The promise rejects as the session's does, but nobody has to look: `error` says so too. */
  readonly call: (...args: Args) => Promise<Answer>;
  readonly pending: boolean;
  /** The answer of the last call that had one. */
  readonly data: Answer | undefined;
  /** Why the last call failed, if it did. */
  readonly error: Error | undefined;
}

/** A call of the contract, with what became of the latest. Of several under way the one that was made last counts. */
export function useCall<C extends Contract, Name extends CallName<C>>(
  contract: C,
  name: Name,
): UsedCall<CallFunction<C, Name>["args"] & readonly unknown[], CallFunction<C, Name>["answer"]> {
  type Args = CallFunction<C, Name>["args"] & readonly unknown[];
  type Answer = CallFunction<C, Name>["answer"];
  const session = useSession(contract);
  const [state, setState] = useState<Omit<UsedCall<Args, Answer>, "call">>({
    pending: false,
    data: undefined,
    error: undefined,
  });
  const latest = useRef(0);
  const call = useCallback(
    (...args: Args): Promise<Answer> => {
      latest.current += 1;
      const number = latest.current;
      const settle = (outcome: { data: Answer } | { error: Error }) => {
        if (number === latest.current) setState((before) => ({ ...before, pending: false, ...outcome }));
      };
      setState((before) => ({ ...before, pending: true, error: undefined }));
      const made = session.call[name] as unknown as (...args: Args) => Promise<Answer>;
      const answer = made(...args);
      answer.then(
        (data) => settle({ data }),
        (error: Error) => settle({ error }),
      );
      return answer;
    },
    [session, name],
  );
  return { call, ...state };
}

export interface UsePresenceOptions<Meta, C extends Contract = Contract> {
  /** Has the server begin to watch; see `watchPresence`. */
  readonly watch?: ((session: Session<C>) => unknown) | undefined;
  /** The id of whoever is at this page. */
  readonly self?: string | undefined;
  /** The order of the members; by id unless set. */
  readonly sort?: ((a: Member<Meta>, b: Member<Meta>) => number) | undefined;
}

/** Who is in a room. */
export interface UsedPresence<Meta> extends PresenceState<Meta> {
  /** Whoever is at this page, where `self` says who that is and the server knows. */
  readonly me: Member<Meta> | undefined;
}

/**
 * Who is in the room of the session, for contracts with a push of news. Components that ask for the same share a list, and
 * whoever comes later has it at once.
 */
export function usePresence<C extends Contract, Meta = unknown>(
  contract: C,
  push: NewsName<C> & PushName<C>,
  options: UsePresenceOptions<Meta, C> = {},
): UsedPresence<Meta> {
  const session = useSession(contract);
  const latest = useRef(options.watch);
  useEffect(() => {
    latest.current = options.watch;
  });
  const watches = options.watch !== undefined;
  const presence = useMemo(() => {
    const watch: WatchOptions = watches ? { watch: () => latest.current?.(session) } : {};
    return watchPresence<C, NewsName<C>, Meta>(session, push, watch);
  }, [session, push, watches]);
  const subscribe = useCallback((changed: () => void) => presence.subscribe(changed), [presence]);
  const snapshot = () => presence.state;
  const state = useSyncExternalStore(subscribe, snapshot, snapshot);
  const { self, sort } = options;
  return useMemo(() => {
    const members = sort === undefined ? state.members : [...state.members].sort(sort);
    return { ...state, members, me: memberOf(members, self) };
  }, [state, self, sort]);
}

/** A raw socket and its state. */
export interface UsedSocket<Sent extends Sendable = Sendable> extends RawState {
  readonly send: (message: Sent) => boolean;
  readonly close: (code?: number, reason?: string) => void;
  /** Opens it again after its end. */
  readonly open: () => void;
}

/** A raw socket of this component. With another address or key it is another socket; callbacks are those of the latest render. */
export function useSocket<Sent extends Sendable = Sendable>(options: RawOptions<Sent>): UsedSocket<Sent> {
  const [socket] = useState(() => new RawSocket(options));
  useEffect(() => socket.update(options));
  const start = useCallback(() => socket.start(), [socket]);
  const stop = useCallback(() => socket.stop(), [socket]);
  useLife(start, stop);
  const subscribe = useCallback((changed: () => void) => socket.subscribe(changed), [socket]);
  const snapshot = () => socket.state;
  const state = useSyncExternalStore(subscribe, snapshot, snapshot);
  const methods = useMemo(
    () => ({
      send: (message: Sent) => socket.send(message),
      close: (code?: number, reason?: string) => socket.close(code, reason),
      open: () => socket.open(),
    }),
    [socket],
  );
  return { ...state, ...methods };
}

/** Starts when the component is mounted, and stops a moment after it is not, unless it is again by then. */
function useLife(start: () => void, stop: () => void): void {
  const mounted = useRef(false);
  useEffect(() => {
    mounted.current = true;
    start();
    return () => {
      mounted.current = false;
      queueMicrotask(() => {
        if (!mounted.current) stop();
      });
    };
  }, [start, stop]);
}

export type { Member, Message, RawOptions, RawState, Route, Sendable };
