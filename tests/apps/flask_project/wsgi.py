from guestbook import create_app

application = create_app()
