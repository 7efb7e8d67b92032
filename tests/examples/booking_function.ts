/** The function of `examples/booking`, whose cron job runs ten times a second. */

import "./fast_cron.ts";

export { default } from "../../examples/booking/function.ts";
