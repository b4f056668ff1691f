/** For a process that is started with it: its clock is wrong by TOROID_TEST_SKEW_MS, and right in how fast it goes. */
const skewMs = Number(process.env["TOROID_TEST_SKEW_MS"]);
const RightDate = Date;
const nowMs = RightDate.now.bind(RightDate);

class SkewedDate extends RightDate {
  constructor(...given: [] | ConstructorParameters<DateConstructor>) {
    if (given.length === 0) super(nowMs() + skewMs);
    else super(...(given as [number]));
  }

  static override now(): number {
    return nowMs() + skewMs;
  }
}

globalThis.Date = SkewedDate as DateConstructor;
