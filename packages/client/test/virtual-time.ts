// A clock that only the test moves.

import { afterEach, beforeEach, expect, vi } from "vitest";

/** Every test of the file has such a clock, and leaves no timer behind that would keep a process alive. */
export function virtualTime(): void {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });
}
