/**
 * A real Chromium, driven through its DevTools protocol, and pages that note what goes wrong in them.
 *
 * @module
 */

/// <reference lib="dom" />
import axe from "axe-core";
import puppeteer, { type Browser, type CDPSession, type Page } from "puppeteer-core";

const PROGRAMS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const LAUNCH_TIMEOUT_MS = 120_000;

/** The first Chromium of the variable CHROMIUM, or of the PATH. */
async function findProgram(): Promise<string | undefined> {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  const places = folders.flatMap((folder) => PROGRAMS.map((program) => `${folder}/${program}`));
  for (const place of [Deno.env.get("CHROMIUM"), ...places]) {
    if (place && await Deno.stat(place).then(({ isFile }) => isFile, () => false)) return place;
  }
  return undefined;
}

/** A browser. Disposing of it ends it, and removes all that it kept. */
export interface TestBrowser extends AsyncDisposable {
  /** The browser. */
  readonly browser: Browser;
  /** Opens a page in a context of its own. */
  open(url: string, options?: PageOptions): Promise<TestPage>;
}

/** How a page is opened. */
export interface PageOptions {
  /** @default {"light"} */
  readonly theme?: "light" | "dark";
  /** In pixels. @default {1280} */
  readonly width?: number;
  /** In pixels. @default {800} */
  readonly height?: number;
}

/** Starts a browser. Where there is none, it says so, and returns nothing. */
export async function startBrowser(what: string): Promise<TestBrowser | undefined> {
  const executablePath = await findProgram();
  if (executablePath === undefined) {
    console.warn(
      `NOT TESTED: ${what}. Put Chromium on the PATH (apt-get install chromium), or name it in CHROMIUM.`,
    );
    return undefined;
  }
  const folder = await Deno.makeTempDir({ prefix: "aether-chromium-" });
  const remove = async (): Promise<void> => {
    // Processes that end a moment later may still write.
    for (let tries = 0;; tries++) {
      try {
        return await Deno.remove(folder, { recursive: true });
      } catch (error) {
        if (tries === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  let browser: Browser;
  try {
    browser = await puppeteer.launch({
      executablePath,
      userDataDir: folder,
      timeout: LAUNCH_TIMEOUT_MS,
      args: [
        // The sandbox does not work for root, and not in most containers; what is opened here is our own page.
        ...["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
        // Places of the user's own are left alone.
        ...[`--crash-dumps-dir=${folder}`, `--disk-cache-dir=${folder}/cache`],
      ],
      env: { ...Deno.env.toObject(), HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder },
    });
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    browser,
    open: (url, options) => TestPage.open(browser, url, options),
    async [Symbol.asyncDispose](): Promise<void> {
      await browser.close();
      await remove();
    },
  };
}

/** A page that notes what goes wrong in it. Disposing of it closes it. */
export class TestPage implements AsyncDisposable {
  readonly page: Page;
  readonly #cdp: CDPSession;
  readonly #close: () => Promise<void>;
  /** Errors of scripts, violations of the Content-Security-Policy, and dialogs that hostile data has opened. */
  readonly faults: string[] = [];

  private constructor(page: Page, cdp: CDPSession, close: () => Promise<void>) {
    this.page = page;
    this.#cdp = cdp;
    this.#close = close;
    page.on("pageerror", (error) => this.faults.push(`error: ${error}`));
    page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      // What the network could not load is the subject of some tests.
      if (message.type() === "error" && !/Failed to load resource|net::ERR_/.test(message.text())) {
        this.faults.push(`console: ${message.text()}`);
      }
    });
    page.on("request", (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (!["data:", "blob:"].includes(protocol) && hostname !== "127.0.0.1") {
        this.faults.push(`request to ${request.url()}`);
      }
    });
  }

  /** Opens a page. */
  static async open(browser: Browser, url: string, options: PageOptions = {}): Promise<TestPage> {
    const { theme = "light", width = 1280, height = 800 } = options;
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    const test = new TestPage(page, await page.createCDPSession(), () => context.close());
    await page.setViewport({ width, height });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    await page.evaluateOnNewDocument(() => {
      addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
        console.error(`Content-Security-Policy violated: ${violatedDirective} ${blockedURI}`);
      });
    });
    await page.goto(url);
    return test;
  }

  /** The text on the page, with a single space between words. */
  async text(selector = "body"): Promise<string> {
    return await this.page.$eval(
      selector,
      (element) => (element as HTMLElement).innerText.replace(/\s+/g, " "),
    );
  }

  /** Waits until something is in the text on the page. */
  async see(what: string | RegExp, selector = "body"): Promise<void> {
    const source = typeof what === "string" ? what.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&") : what.source;
    try {
      await this.page.waitForFunction(
        (selector, source) =>
          new RegExp(source, "s").test(
            document.querySelector<HTMLElement>(selector)?.innerText.replace(/\s+/g, " ") ?? "",
          ),
        { polling: 30 },
        selector,
        source,
      );
    } catch (error) {
      throw new Error(`${what} is not seen in: ${await this.text(selector).catch(() => "nothing")}`, {
        cause: error,
      });
    }
  }

  /** Clicks what has a name, as a screen reader has it. */
  async click(name: string, role = "button"): Promise<void> {
    await this.page.locator(`::-p-aria([name="${name}"][role="${role}"])`).click();
  }

  /** What the page has copied to the clipboard, or an empty text. */
  async copied(): Promise<string> {
    const { origin } = new URL(this.page.url());
    const permissions = ["clipboard-read", "clipboard-write", "clipboard-sanitized-write"] as const;
    await this.page.browserContext().overridePermissions(origin, [...permissions]);
    return await this.page.evaluate(() => navigator.clipboard.readText());
  }

  /** Goes to another view of the page. */
  async go(hash: string): Promise<void> {
    await this.page.evaluate((hash) => void (location.hash = hash), hash);
  }

  /** What an accessibility check finds. */
  async violations(): Promise<string[]> {
    if (!await this.page.evaluate("'axe' in globalThis")) await this.page.evaluate(`${axe.source}; void 0`);
    return await this.page.evaluate(async () => {
      const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
      const { violations } = await axe.run(document, { resultTypes: ["violations"] });
      return violations.map(({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, any }) => `${html.slice(0, 160)} ${any[0]?.message ?? ""}`).join(" | ")}`
      );
    });
  }

  /** Suspends the page as a browser suspends a tab that was not looked at for long; `active` wakes it. */
  async lifecycle(state: "frozen" | "active"): Promise<void> {
    await this.#cdp.send("Page.setWebLifecycleState", { state });
  }

  /** Closes the page. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}
