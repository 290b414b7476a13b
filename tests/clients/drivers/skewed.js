// A clock that is wrong: Date is ahead by some seconds.
exports.skew = (seconds) => {
  if (!seconds) return
  const Right = Date
  globalThis.Date = class extends Right {
    constructor(...told) {
      if (told.length) super(...told)
      else super(Right.now() + seconds * 1000)
    }
    static now() {
      return Right.now() + seconds * 1000
    }
  }
}
