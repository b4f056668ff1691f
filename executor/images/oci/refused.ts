/** An image that cannot be had because of what the stage asks for: the stage fails, and is not tried again. */
export class Refused extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Refused";
  }
}
