// How a page and a worker notice that the other is gone, were it killed: a browser takes a lock from whoever held it.

/**
 * Holds a lock until `signal` is aborted. Ready once it is held; rejects where there are no locks to be had, and when it
 * is aborted before.
 */
export function holdLock(name: string, signal: AbortSignal): Promise<void> {
  return new Promise((held, failed) => {
    const hold = () =>
      new Promise<void>((release) => {
        signal.addEventListener("abort", () => release());
        held();
      });
    navigator.locks.request(name, { signal }, hold).catch(failed);
  });
}

/** Calls `gone` once nobody holds the lock any more, unless `signal` is aborted first. */
export function whenReleased(name: string, signal: AbortSignal, gone: () => void): void {
  // It rejects when it is aborted.
  navigator.locks.request(name, { signal }, gone).catch(() => {});
}
