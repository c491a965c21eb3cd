/** A question with what an answer to it has to hold. White space counts as one space. */
export interface AskedQuestion {
  readonly question: string;
  /** Each must stand in the text of the answer. */
  readonly says: readonly RegExp[];
  /** A block of code in the answer must hold it. */
  readonly code?: RegExp;
  /** At least one quote must hold it. */
  readonly cites: RegExp;
  /** Every quote must hold it: a quote about something else spoils the answer. */
  readonly about: RegExp;
  /** What would be off the subject. */
  readonly never?: RegExp;
}

/** The questions that the weights of retrieval and ranking were chosen with. */
export const tuned: readonly AskedQuestion[] = [
  {
    question: 'Does undici support HTTP/2?',
    about: /HTTP\/2|h2/i,
    says: [/HTTP\/2/, /by default|ALPN/],
    cites: /HTTP\/2/,
    never: /benchmark/i,
  },
  {
    question: 'How do I limit the number of connections?',
    about: /connections/i,
    says: [/`connections`|connections:/],
    cites: /connections/,
  },
  {
    question: 'How do I cancel a request?',
    about: /abort|cancel|signal/i,
    says: [/AbortSignal|AbortController/],
    cites: /AbortSignal|AbortController/,
  },
  {
    question: 'How do I prevent real requests in tests?',
    about: /disableNetConnect|real (?:HTTP )?request/i,
    says: [/disableNetConnect\(\)/],
    cites: /disableNetConnect/,
  },
  {
    question: 'What is the maximum size of a response?',
    about: /maxResponseSize|response body/i,
    says: [/maxResponseSize/, /-1/],
    cites: /maxResponseSize/,
  },
  {
    question: 'How do I close a client?',
    about: /close|destroy/i,
    says: [/gracefully|waiting for/, /close\(|client\.close/],
    cites: /close/i,
    never: /MockClient/,
  },
  {
    question: 'What errors can undici throw?',
    about: /error/i,
    says: [/UND_ERR_/],
    cites: /error/i,
    never: /TypeError|WebAssembly is unavailable/,
  },
  {
    question: 'How do I use a Socks5 proxy?',
    about: /socks/i,
    says: [/Socks5ProxyAgent/, /```/],
    cites: /new Socks5ProxyAgent|SOCKS5/,
    code: /new Socks5ProxyAgent\(/,
    never: /^(?:Throws|- )/,
  },
  {
    question: 'How can I send requests through a proxy?',
    about: /proxy/i,
    says: [/ProxyAgent/],
    code: /new ProxyAgent\(/,
    cites: /proxy/i,
    never: /new EnvHttpProxyAgent/,
  },
  {
    question: 'What is the default keepAliveTimeout of a Client?',
    about: /keepAliveTimeout/,
    says: [/keepAliveTimeout/, /4e3/],
    cites: /\*\*Default:\*\* `4e3`/,
  },
  {
    question: 'How do I mock a request in tests?',
    about: /mock/i,
    says: [/MockAgent/, /```/],
    cites: /mock/i,
  },
  {
    question: 'What does RetryAgent do?',
    about: /retr(?:y|ies)/i,
    says: [/automatically retries/],
    cites: /automatically retries/,
  },
  {
    question: 'How many redirects does the redirect interceptor follow?',
    about: /redirect/i,
    says: [/maxRedirections/],
    cites: /Maximum number of redirects/,
  },
  {
    question: 'Which status codes does RetryAgent retry?',
    about: /status codes/i,
    says: [/500, 502, 503, 504, 429/],
    cites: /500, 502, 503, 504, 429/,
  },
  {
    question: 'How long does undici wait for headers?',
    about: /headersTimeout/,
    says: [/headersTimeout/, /300/],
    cites: /headersTimeout/,
  },
  {
    question: 'How do I set the global dispatcher?',
    about: /global ?dispatcher/i,
    says: [/setGlobalDispatcher\(/],
    cites: /global ?dispatcher/i,
  },
  {
    question: 'What is the difference between Pool and Agent?',
    about: /pool|agent/i,
    says: [/pool of .?Client/i, /(?:multiple|different) (?:different )?origins/],
    cites: /origins?/,
  },
  {
    question: 'How do I use client certificates?',
    about: /cert/i,
    says: [/connect/, /cert/i],
    cites: /client certificate/i,
  },
  {
    question: 'What is pipelining?',
    about: /pipelin/i,
    says: [/pipelin/i, /concurrent|multiple|trusted/],
    cites: /pipelin/i,
  },
  {
    question: 'How do I follow redirects?',
    about: /redirect/i,
    says: [/redirect\(|maxRedirections|redirect interceptor/],
    cites: /redirect/i,
  },
  { question: 'How do I debug undici?', about: /debug/i, says: [/NODE_DEBUG/], cites: /NODE_DEBUG/ },
  {
    question: 'How do I send JSON in a POST request?',
    about: /JSON/,
    says: [/JSON\.stringify/, /method: 'POST'/],
    code: /(?:fetch|request|Request)\(/,
    cites: /JSON\.stringify/,
    never: /mock/i,
  },
  { question: 'Which Node.js version does undici v8 require?', about: /Node/, says: [/22\.19/], cites: /22\.19/ },
  {
    question: 'How do I cache responses?',
    about: /cach/i,
    says: [/interceptors\.cache/],
    code: /interceptors\.cache\(/,
    cites: /cache/i,
    never: /CacheStorage|caches\./,
  },
  {
    question: 'What is a BalancedPool?',
    about: /upstream|BalancedPool|balanc/i,
    says: [/multiple|several|set of/, /upstream/],
    cites: /upstream/,
  },
  { question: 'Can DNS lookups be cached?', about: /DNS/i, says: [/DNS/, /cach/i], cites: /DNS lookups/i },
  {
    question: 'What is the default user agent?',
    about: /user.agent/i,
    says: [/'undici'/],
    cites: /default user agent is/,
  },
  { question: 'What is the connection timeout?', about: /timeout|timed out/i, says: [/10e3|10 ?s/], cites: /10e3/ },
  {
    question: 'How do I delete a cookie?',
    about: /cookie/i,
    says: [/deleteCookie|expires the named cookie/],
    cites: /deleteCookie|Set-Cookie/,
  },
  {
    question: 'What is the architecture of Warmpath?',
    about: /Warmpath|parts|architecture/i,
    says: [/set of parts/],
    cites: /set of parts/,
  },
  {
    question: 'What happens when the store dies?',
    about: /store/i,
    says: [/is a miss|deadline/],
    cites: /store/,
  },
  {
    question: 'What does WP_DEADLINE mean?',
    about: /WP_DEADLINE|time|deadline/i,
    says: [/time allowed for a call ran out/],
    cites: /time allowed for a call ran out/,
  },
  {
    question: 'Why ESM only?',
    about: /ESM|loaded|require/i,
    says: [/loaded twice|through `require`/],
    cites: /loaded twice|through `require`/,
  },
  {
    question: 'Is the tenant part of the cache key?',
    about: /tenant|scope/i,
    says: [/tenant (?:is )?part of (?:the|every) key|`scope: 'caller'`|that tenant is part/],
    cites: /tenant/,
  },
];

/** Written before anything was tuned, and looked at only as a number until the tuning was over. */
export const heldOut: readonly AskedQuestion[] = [
  {
    question: 'How do I set a request timeout?',
    about: /timeout/i,
    says: [/headersTimeout|bodyTimeout/],
    cites: /Timeout/,
  },
  {
    question: 'What does MockAgent do?',
    about: /mock/i,
    says: [/intercepts? (?:undici )?HTTP requests/],
    cites: /intercepts/,
  },
  {
    question: 'How many times does RetryAgent retry by default?',
    about: /retr(?:y|ies)/i,
    says: [/maxRetries/, /`5`/],
    cites: /Maximum number of retries/,
  },
  {
    question: 'How do I stream a response to a file?',
    about: /stream|pipeline/i,
    says: [/createWriteStream|pipeline|client\.stream|\.stream\(/],
    cites: /stream/i,
  },
  {
    question: 'What is the difference between Client and Pool?',
    about: /client|pool/i,
    says: [/single TCP|one connection|single connection/, /pool of/i],
    cites: /connection/,
  },
  {
    question: 'How do I disable HTTP/2?',
    about: /HTTP\/2|allowH2/i,
    says: [/allowH2: false/],
    cites: /allowH2: false/,
  },
  {
    question: 'What does maxOrigins do?',
    about: /origins/i,
    says: [/Limits the total number of distinct origins/],
    cites: /distinct origins/,
  },
  {
    question: 'Which environment variables does EnvHttpProxyAgent read?',
    about: /proxy/i,
    says: [/http_proxy/, /no_proxy/],
    cites: /http_proxy/,
  },
  {
    question: 'How do I send a ping on a WebSocket?',
    about: /ping/i,
    says: [/ping/, /```|ping control frame/],
    cites: /ping/i,
  },
  {
    question: 'How do I decompress responses?',
    about: /decompress|encod/i,
    says: [/decompress/],
    cites: /decompress/i,
  },
  {
    question: 'Why do I have to consume the response body?',
    about: /consum|body|garbage|leak/i,
    says: [/connection leaks|garbage collection|release connections/i],
    cites: /body|connection/,
  },
  {
    question: 'How do I record and replay responses in tests?',
    about: /record|replay|snapshot/i,
    says: [/SnapshotAgent/],
    cites: /Snapshot|record/,
  },
  {
    question: 'What does UND_ERR_BODY_TIMEOUT mean?',
    about: /body/i,
    says: [/body timeout elapsed|exceeded the `bodyTimeout`|no new data arrived/],
    cites: /timeout/i,
  },
  {
    question: 'Does undici support the Expect header?',
    about: /Expect|100 Continue/,
    says: [/does not support the `Expect`/],
    cites: /does not support/,
  },
  { question: 'What is the default maximum header size?', about: /header/i, says: [/16384|16 KiB/], cites: /16384/ },
  {
    question: 'How do I connect to a Unix domain socket?',
    about: /socket/i,
    says: [/socketPath/],
    cites: /socketPath/,
  },
  {
    question: 'What does WP_TENANT_REQUIRED mean?',
    about: /tenant/i,
    says: [/keeps tenants apart was called without a tenant/],
    cites: /without a tenant/,
  },
  {
    question: 'Why was Biome chosen?',
    about: /Biome|rule|lint|compiler|machine/i,
    says: [/one binary|rules out typescript-eslint|every save/],
    cites: /Biome|typescript-eslint|machine keeps/,
  },
  {
    question: 'What happens when a model fails in the middle of an answer?',
    about: /answer|fail|chunk/i,
    says: [/in-band|as an error|say the beginning twice|never said again/],
    cites: /error|beginning twice/,
  },
  { question: 'How long may a call to the store take?', about: /store/i, says: [/50 ms/], cites: /50 ms/ },
];

/** Questions that the documents do not answer. Some share words with them. */
export const outOfScope: readonly string[] = [
  'What is the capital of France?',
  'How do I bake sourdough bread?',
  'Who won the 2018 World Cup?',
  'How do I train a neural network?',
  'How do I deploy a service to Kubernetes?',
  'Which React hook fetches data?',
  'How do I write a join in SQL?',
  'What is the price of a Mercedes?',
  'How do I use undici with TypeScript?',
  'Does undici support HTTP/3?',
  'How do I sign a request for AWS?',
];

/** The same, held out like the questions above. */
export const outOfScopeHeldOut: readonly string[] = [
  'How do I parse XML in Python?',
  'What is the weather in Berlin?',
  'How do I center a div with CSS?',
  'Which GraphQL schema does undici use?',
];
